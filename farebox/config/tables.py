"""All tables of the configuration file but providers, models and policies, and the file as a whole."""

from typing import Annotated, Literal

import msgspec

from farebox.config.models import Model
from farebox.config.policies import Breaker, Policy, Retries, Shedding
from farebox.config.providers import Name, Provider


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``[[keys]]`` table: a virtual key given by configuration, and the team and project it belongs to."""

    name: Name
    key: Annotated[str, msgspec.Meta(min_length=1)]
    team: str = ""
    project: str = ""


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[journal]`` table.

    Attributes:
        durability: ``process``: what is on record survives the death of any process, and is on the disk within a
            second. ``power``: it is on the disk before a request leaves and before an answer is complete.
    """

    durability: Literal["process", "power"] = "process"


class Idempotency(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[idempotency]`` table.

    Attributes:
        keep_hours: how long an idempotency key stands for its call, and the answer is kept; 0 passes keys over.
        answer_bytes: largest answer that is kept.
    """

    keep_hours: Annotated[float, msgspec.Meta(ge=0, le=8760)] = 24.0
    answer_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 4 << 20


class BudgetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``[[budgets]]`` table: a cap on what an account may use.

    Attributes:
        account: ``org``, ``team:NAME``, ``project:NAME``, ``key:NAME``, ``user:NAME``, ``tag:KEY=VALUE``,
            ``model:NAME`` or ``provider:NAME``.
        amount: of money, as text such as ``"250.00"`` or a whole number.
        currency: of the amount; another than USD is converted at its dated rate.
        unit: what is counted where it is not money: requests, input_tokens, output_tokens, tokens, concurrency.
        limit: how many of them.
        window: minute, hour, day, week, month, lifetime or such as rolling:24h.
        zone: IANA time zone of the window's calendar.
        soft: whether it only alerts and refuses nothing.
        alerts: percentages at which an alert is raised.
        per_call: the most that one call may use: an amount of money, or a count.
    """

    account: Name
    amount: str | int | None = None
    currency: str = "USD"
    unit: str = "usd"
    limit: int | None = None
    window: str = "month"
    zone: str = "UTC"
    soft: bool = False
    alerts: tuple[int, ...] = ()
    per_call: str | int | None = None


class Spending(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[spending]`` table.

    Attributes:
        ledger: where the ledger of budgets is: ``postgresql://...`` for one that several hosts share, literal,
            ``env:NAME`` or ``file:PATH``; "" for a file in the data directory.
        clamp: whether the output cap of a call that does not fit into its budgets is lowered instead of the call
            being refused.
    """

    ledger: str = ""
    clamp: bool = False


class Pacing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[pacing]`` table: how calls are kept below what providers allow.

    Attributes:
        wait_s: longest time that an attempt waits for room at its provider; 0: not at all.
        learn: whether what the headers of answers say about limits is believed.
    """

    wait_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 2.0
    learn: bool = True


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[limits]`` table.

    Attributes:
        body_bytes: largest request body.
        json_depth: deepest nesting of a request body.
        answer_bytes: largest answer of a provider that is not streamed.
        event_bytes: largest event of a stream.
        stream_bytes: largest stream.
        write_timeout_s: how long a client may leave its answer unread before it is taken for gone.
    """

    body_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 20 << 20
    json_depth: Annotated[int, msgspec.Meta(ge=4, le=200)] = 64
    answer_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 64 << 20
    event_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 16 << 20
    stream_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 256 << 20
    write_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0


class Alerts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[alerts]`` table: whom to tell of anomalies.

    Attributes:
        urls: addresses, each a literal, ``env:NAME`` or ``file:PATH``: ``https://...`` gets JSON, anything else goes
            through apprise.
        secret: what webhooks are signed with, likewise; "" for no signature.
        min_severity: the least that is told.
        repeat_h: after how many hours what lasts is told again; 0: never.
    """

    urls: tuple[Name, ...] = ()
    secret: str = ""
    min_severity: Literal["low", "medium", "high"] = "low"
    repeat_h: Annotated[float, msgspec.Meta(ge=0, le=8760)] = 24.0


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file.

    Attributes:
        host: address to listen on.
        prices: files with prices of your own, relative to the configuration file.
    """

    host: str = "127.0.0.1"
    prices: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()
    keys: tuple[Key, ...] = ()
    limits: Limits = Limits()
    spending: Spending = Spending()
    budgets: tuple[BudgetTable, ...] = ()
    journal: Journal = Journal()
    idempotency: Idempotency = Idempotency()
    pacing: Pacing = Pacing()
    retries: Retries = Retries()
    breaker: Breaker = Breaker()
    shedding: Shedding = Shedding()
    policies: tuple[Policy, ...] = ()
    alerts: Alerts = Alerts()
