"""What the journal holds: `Sent` before the first byte goes to a provider, `Done` when its end is known.

Records are MessagePack arrays with a tag first, so a field may be added at the end with a default and old
journals stay readable; a field is never removed or moved. `Done` without `Sent` cannot exist; `Sent` without
`Done` is open, or, once its writer is dead, recovered as a `Done` with the flag ``assumed``.
"""

from typing import Literal

import msgspec

from farebox.charge import Line

Outcome = Literal[
    "ok",  # the provider answered completely
    "error",  # the provider answered with an error status or an error event
    "unreachable",  # no answer: refused, DNS, TLS, reset or timeout before a status line
    "truncated",  # the provider broke off in the middle of its answer
    "garbage",  # the provider's answer cannot be read
    "client_gone",  # the client hung up; what had arrived is metered
    "cut",  # Farebox cut the answer: it had used up what was held for it
    "lost",  # the gateway died; recovered from the journal
    "outpaced",  # another attempt of the call, made beside it, answered first
]

# Flags of an attempt. `estimated`: tokens counted from what was seen, a floor. `assumed`: worst case taken.
# `unpriced`: no charge could be computed. `quarantined`: the usage breaks a rule of its API.
# `no_usage`: a complete answer without usage. `reported_differs`: the provider says it cost something else.
# `over_threshold`: the call came to cost more than a policy lets pass without a word.
Flag = Literal["estimated", "assumed", "unpriced", "quarantined", "no_usage", "reported_differs", "over_threshold"]


# What an attempt is made for: the call's `first` one, a `failover` to another target after one that failed, a `repeat`
# of a target, a `hedge` beside one that has not begun to answer, a `shadow` whose answer nobody gets.
Role = Literal["first", "failover", "repeat", "hedge", "shadow"]


class Sent(msgspec.Struct, frozen=True, array_like=True, tag="S1", gc=False):
    """An attempt is about to be sent.

    Attributes:
        attempt: the attempt id, ``<call>.<number>``.
        call: the call id.
        number: of the attempt within its call, from 1.
        at_ns: wall clock, nanoseconds since the epoch, UTC.
        key: id of the virtual key, or "" for open access.
        key_name: the key's name at that time.
        user: the end user the client named, or "".
        tags: from ``metadata`` and ``x-farebox-tags``.
        dialect: of the client: ``openai`` or ``anthropic``.
        operation: ``chat``, ``embeddings``, ``messages`` or ``count_tokens``.
        asked_model: what the client asked for.
        provider: name of the provider in the configuration.
        rate_provider: whose rates apply: the provider's id in the price book.
        model: what was asked of the provider.
        stream: whether the answer streams.
        body_bytes: size of the body that is sent.
        parts: UTF-8 bytes of the input by part: system, tools, history, context, user.
        output_cap: the output limit sent to the provider in tokens over all choices, or None.
        provider_operation: what was asked of the provider in its own dialect: its usage is read by that.
        asked_tier: the service tier that was asked for, or "".
        region: of the provider's endpoint as configured, or "": recorded, since it is part of the price.
        deployment: the kind of deployment behind the endpoint as configured, or "".
        team: of the key, or "".
        project: of the key, or "".
        hold_femto: the most it can cost, femtodollars, as reserved; 0 where no budget in USD applies.
        hold_input: input tokens that were reserved.
        hold_output: output tokens that were reserved.
        charged: the budgets it is charged to, each ``budget id|window id|unit``.
        route: why it is sent to this target, in words; "" where the model has one order for all.
        provider_key: name of the provider's key that is used; "" where it has only one.
        role: what the attempt is made for.
    """

    attempt: str
    call: str
    number: int
    at_ns: int
    key: str
    key_name: str
    user: str
    tags: dict[str, str]
    dialect: str
    operation: str
    asked_model: str
    provider: str
    rate_provider: str
    model: str
    stream: bool
    body_bytes: int
    parts: dict[str, int]
    output_cap: int | None
    provider_operation: str = ""
    asked_tier: str = ""
    region: str = ""
    deployment: str = ""
    team: str = ""
    project: str = ""
    hold_femto: int = 0
    hold_input: int = 0
    hold_output: int = 0
    charged: tuple[str, ...] = ()
    route: str = ""
    provider_key: str = ""
    role: Role = "first"


class Done(msgspec.Struct, frozen=True, array_like=True, tag="D1", gc=False):
    """The end of an attempt.

    Attributes:
        attempt: the attempt id.
        at_ns: wall clock at the end.
        outcome: see `Outcome`.
        final: whether this attempt's answer is the one the client got.
        status: HTTP status of the provider, 0 where there was none.
        finish: the provider's own finish reason, or "".
        flags: see `Flag`.
        error: the provider's or the transport's words, cut to 500 characters, or "".
        usage_raw: the provider's usage object as JSON bytes, verbatim, or b"".
        meters: disjoint quantities by meter.
        lines: the charge, line by line.
        total_femto: the sum of the lines; None where the attempt is unpriced.
        unpriced: why, or "".
        book: hash of the price book.
        answered_model: the model the provider says it used, or "".
        service_tier: the tier the provider says it used, or "".
        provider_request: the provider's request id, or "".
        first_token_ns: from sending to the first event with content (first byte where not streaming), or None.
        total_ns: from sending to the end.
        gateway_ns: time spent inside Farebox, waiting for the provider left out.
        reported_femto: what the provider says the attempt cost, femtodollars, or None where it says nothing.
        charged_femto: what budgets in USD are charged, where that is not the cost: of an attempt that broke off only
            a floor is known, so they are charged the most it can have cost; else None.
    """

    attempt: str
    at_ns: int
    outcome: Outcome
    final: bool
    status: int
    finish: str
    flags: tuple[Flag, ...]
    error: str
    usage_raw: bytes
    meters: dict[str, int]
    lines: tuple[Line, ...]
    total_femto: int | None
    unpriced: str
    book: str
    answered_model: str
    service_tier: str
    provider_request: str
    first_token_ns: int | None
    total_ns: int
    gateway_ns: int
    reported_femto: int | None = None
    charged_femto: int | None = None


Record = Sent | Done
