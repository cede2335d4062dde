"""The ``[[models]]`` tables: what clients can ask for, where it goes, and how one of several targets is chosen."""

import re
from typing import Annotated, Literal

import msgspec

from farebox.config.providers import Name
from farebox.errors import ConfigError

_HOURS = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")
_DAY_MINUTES = 24 * 60
Strategy = Literal["priority", "weighted", "cheapest", "fastest", "balanced", "sticky", "auto"]
Criticality = Literal["critical", "normal", "sheddable"]
Grade = Literal["", "small", "large"]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1000)]
Usd = Annotated[str, msgspec.Meta(pattern=r"^\d{1,9}(\.\d{1,15})?$")]


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The conditions of a target: all that are given must hold.

    Attributes:
        keys: names of virtual keys; the call has one of them.
        teams: the call's key belongs to one of them.
        tags: the call has all of them.
        criticality: the call's is one of them.
        input_tokens_over: the input has more tokens, as far as can be told before it is sent.
        input_tokens_up_to: the input has no more tokens.
        deadline_over_s: the client says that the answer may take so many seconds or more (``x-farebox-deadline``).
        expected_usd_up_to: the call is expected to cost no more there, USD as text.
        hours: of the day, such as ``22:00-06:00``.
        zone: IANA time zone of the hours.
    """

    keys: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    criticality: tuple[Criticality, ...] = ()
    input_tokens_over: Annotated[int, msgspec.Meta(ge=0)] | None = None
    input_tokens_up_to: Annotated[int, msgspec.Meta(ge=0)] | None = None
    deadline_over_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    expected_usd_up_to: Usd | None = None
    hours: str = ""
    zone: str = "UTC"

    def minutes(self) -> tuple[int, int]:
        """Return the first minute of the day that counts and the first that does not.

        Raises:
            ConfigError: where the hours are none.
        """
        found = _HOURS.fullmatch(self.hours)
        if found is None:
            raise ConfigError(f"hours: {self.hours!r} is not a span of the day such as 22:00-06:00")
        start, end = (int(found[hour]) * 60 + int(found[hour + 1]) for hour in (1, 3))
        if max(start, end) > _DAY_MINUTES or start == end or int(found[2]) > 59 or int(found[4]) > 59:
            raise ConfigError(f"hours: {self.hours!r} is not a span of the day such as 22:00-06:00")
        return start, end


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a model's calls go: a provider and the model's name there.

    Attributes:
        weight: its share among targets of the same priority, for the strategies that draw.
        priority: lower goes first.
        when: which calls it is for.
        service_tier: what the provider is asked for where the client asks for no tier: flex, priority, ...
        grade: for `auto`: whether it is for easy prompts (``small``) or for hard ones (``large``).
        canary_percent: share of the model's calls that it gets first, whatever the strategy says; it gets no others but
            those that nobody else could answer.
        shadow_percent: share of the model's calls of which it gets a copy. Its answers are metered and thrown away, and
            it answers no client.
    """

    provider: Name
    model: Name
    weight: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1
    priority: int = 0
    when: When = When()
    service_tier: str = ""
    grade: Grade = ""
    canary_percent: Percent = 0.0
    shadow_percent: Percent = 0.0


class Balance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What counts how much in the score of `balanced`; see `routing.order`."""

    cost: Share = 1.0
    latency: Share = 1.0
    health: Share = 1.0


class Auto(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How `auto` tells easy prompts from hard ones.

    Attributes:
        classifier: ``rules``, which is deterministic, or ``package.module:function`` of your own; see
            `routing.difficulty`.
        threshold: from which difficulty on, of 0 to 1, a prompt is a hard one.
    """

    classifier: Name = "rules"
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class Hedge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a second target is asked beside one that has not begun to answer.

    Attributes:
        after_percentile: of the times to first content that were seen there; it waits for that long.
        at_least_ms: it waits at least so long.
        at_most_ms: and at most so long; it is the wait while little is known.
        most_percent: most calls of which a second target is asked, in percent of the calls of the model.
    """

    after_percentile: Annotated[float, msgspec.Meta(gt=0, lt=100)] = 95.0
    at_least_ms: Annotated[int, msgspec.Meta(ge=1)] = 50
    at_most_ms: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    most_percent: Percent = 10.0


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``[[models]]`` table: what clients ask for, its targets, and how one is chosen.

    Attributes:
        strategy: in which order targets are tried; see `routing.order`.
        balance: for `balanced`: what counts how much.
        auto: for `auto`: what is a hard prompt.
        hedge: when a second target is asked beside the first; None: never.
    """

    name: Name
    targets: Annotated[tuple[Target, ...], msgspec.Meta(min_length=1)]
    strategy: Strategy = "priority"
    balance: Balance = Balance()
    auto: Auto = Auto()
    hedge: Hedge | None = None
