"""What queries of the books return: frozen rows. Amounts are femtodollars, durations nanoseconds."""

from datetime import date
from typing import Literal

import msgspec

Grouping = Literal["model", "key", "team", "project", "user", "provider", "tag"]


class Window(msgspec.Struct, frozen=True):
    """A half-open range of time over `sent_at`, in nanoseconds since the epoch; None is without limit."""

    since_ns: int | None = None
    until_ns: int | None = None


class Totals(msgspec.Struct, frozen=True):
    """Everything in a window, in one row.

    Attributes:
        calls: distinct calls.
        attempts: attempts of these calls within the window.
        retried: calls with more than one attempt.
        answered: calls whose client got a complete answer.
        hung_up: calls whose client hung up.
        total_femto: sum over the attempts that have a price.
        unpriced: attempts without a price.
        first_ns: when the first attempt was sent, or None.
        last_ns: when the last one was.
        input_tokens: of all attempts that report them.
        output_tokens: as before.
    """

    calls: int
    attempts: int
    retried: int
    answered: int
    hung_up: int
    total_femto: int
    unpriced: int
    first_ns: int | None
    last_ns: int | None
    input_tokens: int = 0
    output_tokens: int = 0


class OutcomeRow(msgspec.Struct, frozen=True):
    """Attempts by outcome."""

    outcome: str
    attempts: int
    total_femto: int
    unpriced: int


class MeterRow(msgspec.Struct, frozen=True):
    """A meter and its lines.

    Attributes:
        meter: name in `usage.METERS`.
        quantity: of the meter's smallest part, as metered; of a meter that only lines have, as billed.
        unpriced_quantity: the part of it that attempts without a price have.
        list_femto: sum of the lines at published prices.
        contract_femto: sum of the steps of contracts, which change the price of quantities that other lines have.
    """

    meter: str
    quantity: int
    unpriced_quantity: int
    list_femto: int
    contract_femto: int


class ReportedRow(msgspec.Struct, frozen=True):
    """What a provider says its attempts cost, where they have a price of ours too.

    Attributes:
        provider: as configured.
        attempts: those with both figures.
        differing: of these, those with the flag ``reported_differs``.
        reported_femto: sum of the provider's figures.
        charged_femto: sum of ours.
        example: an attempt that differs, or "".
    """

    provider: str
    attempts: int
    differing: int
    reported_femto: int
    charged_femto: int
    example: str


class PartsRow(msgspec.Struct, frozen=True):
    """The input by part.

    Attributes:
        attempts: those whose parts and input tokens are both known.
        input_tokens: of these attempts.
        size_bytes: UTF-8 bytes by part.
        tokens: input tokens by part, each attempt's tokens shared out by its bytes; an estimate.
    """

    attempts: int
    input_tokens: int
    size_bytes: dict[str, int]
    tokens: dict[str, float]


class LatencyRow(msgspec.Struct, frozen=True):
    """A duration at its percentiles; None where nothing was measured."""

    name: str
    attempts: int
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None


class FlagRow(msgspec.Struct, frozen=True):
    """Attempts that carry a flag."""

    flag: str
    attempts: int
    total_femto: int
    unpriced: int


class GroupRow(msgspec.Struct, frozen=True):
    """One group of attempts; `name` is "" where the property is empty or the tag is missing."""

    name: str
    calls: int
    attempts: int
    input_tokens: int
    output_tokens: int
    total_femto: int
    unpriced: int
    p50_total_ns: int | None


class UnpricedRow(msgspec.Struct, frozen=True):
    """Attempts without a price, by model and reason."""

    provider: str
    model: str
    reason: str
    attempts: int


class FindingRow(msgspec.Struct, frozen=True):
    """Findings of one kind in the journal, see `manifest.Finding`; the amount is that of ends kept aside."""

    kind: str
    count: int
    total_femto: int
    example: str


class AuditRows(msgspec.Struct, frozen=True):
    """Everything an audit is made of."""

    totals: Totals
    outcomes: tuple[OutcomeRow, ...]
    meters: tuple[MeterRow, ...]
    parts: PartsRow
    latencies: tuple[LatencyRow, ...]
    flags: tuple[FlagRow, ...]
    groups: tuple[GroupRow, ...]
    unpriced: tuple[UnpricedRow, ...]
    findings: tuple[FindingRow, ...]
    reported: tuple[ReportedRow, ...] = ()


class CostRow(msgspec.Struct, frozen=True):
    """What one model's meter counted and cost, and how many attempts had it; amounts in femtodollars.

    Attributes:
        provider: id in the price book.
        model: what was asked of the provider.
        meter: what was counted.
        attempts: how many had it.
        quantity: of the meter's smallest part.
        list_femto: at published prices.
        contract_femto: what contracts change of that.
    """

    provider: str
    model: str
    meter: str
    attempts: int
    quantity: int
    list_femto: int
    contract_femto: int

    @property
    def amount_femto(self) -> int:
        """What it cost, contracts included."""
        return self.list_femto + self.contract_femto


class LineRow(msgspec.Struct, frozen=True):
    """A line of a charge, see `charge.Line`."""

    meter: str
    quantity: int
    unit_price_femto: int
    amount_femto: int
    rate: str
    per: int = 1


class AttemptRow(msgspec.Struct, frozen=True):
    """One attempt with everything on record; the fields are the columns of the books, moments in nanoseconds."""

    attempt: str
    call: str
    number: int
    sent_at_ns: int
    done_at_ns: int
    key: str
    key_name: str
    user: str
    tags: dict[str, str]
    dialect: str
    operation: str
    provider_operation: str
    asked_model: str
    provider: str
    rate_provider: str
    model: str
    asked_tier: str
    stream: bool
    body_bytes: int | None
    parts: dict[str, int]
    output_cap: int | None
    outcome: str
    final: bool
    status: int
    finish: str
    flags: tuple[str, ...]
    error: str
    usage_raw: str
    meters: dict[str, int]
    lines: tuple[LineRow, ...]
    total_femto: int | None
    unpriced: str
    book: str
    answered_model: str
    service_tier: str
    provider_request: str
    first_token_ns: int | None
    total_ns: int | None
    gateway_ns: int | None
    writer: str
    region: str = ""
    deployment: str = ""
    reported_femto: int | None = None
    route: str | None = None
    provider_key: str | None = None
    role: str | None = None


class RecordedRow(msgspec.Struct, frozen=True, gc=False):
    """What is on record of an attempt that its price follows from, and its price; see `schema.COLUMNS`."""

    attempt: str
    sent_at_ns: int
    provider: str
    rate_provider: str
    model: str
    provider_operation: str
    asked_tier: str
    body_bytes: int | None
    output_cap: int | None
    outcome: str
    flags: tuple[str, ...]
    usage_raw: str
    meters: dict[str, int]
    lines: tuple[LineRow, ...]
    total_femto: int | None
    unpriced: str
    book: str
    answered_model: str
    service_tier: str
    region: str = ""
    deployment: str = ""


class CallRow(msgspec.Struct, frozen=True):
    """A call in a list.

    Attributes:
        model: what the client asked for.
        provider: of the last attempt.
        outcome: of the final attempt, or of the last where none was final.
        total_femto: sum over the attempts that have a price.
        unpriced: attempts without one.
        total_ns: of the last attempt.
    """

    call: str
    sent_at_ns: int
    key_name: str
    user: str
    model: str
    provider: str
    attempts: int
    outcome: str
    flags: tuple[str, ...]
    input_tokens: int | None
    output_tokens: int | None
    total_femto: int
    unpriced: int
    total_ns: int | None


class CallFilter(msgspec.Struct, frozen=True):
    """Which calls to list; "" is any. A call fits where one of its attempts fits."""

    model: str = ""
    key: str = ""
    outcome: str = ""
    flag: str = ""


class BooksTotal(msgspec.Struct, frozen=True):
    """Number of attempts, the exact sum of their charges, and how many have none."""

    attempts: int
    total_femto: int
    unpriced: int


class ProviderDay(msgspec.Struct, frozen=True):
    """What a provider was sent on a UTC day: femtodollars, and requests and tokens in the busiest minutes."""

    provider: str
    rate_provider: str
    day: date
    spent_femto: int
    requests_peak: int
    input_peak: int
    output_peak: int
    tokens_peak: int
