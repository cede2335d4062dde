"""What happens when a target fails, the gateway is overloaded, or a call costs too much."""

from typing import Annotated, Literal

import msgspec

from farebox.config.models import Criticality, Percent, Usd
from farebox.config.providers import Name, Positive, Seconds


class Retries(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[retries]`` table: how a call goes on after an attempt failed before the client saw anything.

    Attributes:
        attempts: most attempts of one call, failovers included.
        repeats: most times that one call asks one target again.
        budget_percent: most retries of a provider, in percent of the calls it got in the last ten seconds.
        budget_least: retries that may be under way at once whatever the share.
        backoff_ms: wait before the first repeat of a target; it doubles each time, and is drawn from its upper half.
        most_backoff_ms: longest such wait.
        most_wait_s: longest wait that a provider may ask for (``Retry-After``); a longer one is told to the client.
    """

    attempts: Annotated[int, msgspec.Meta(ge=1, le=20)] = 4
    repeats: Annotated[int, msgspec.Meta(ge=0, le=20)] = 2
    budget_percent: Percent = 20.0
    budget_least: Annotated[int, msgspec.Meta(ge=0)] = 3
    backoff_ms: Annotated[int, msgspec.Meta(ge=1)] = 200
    most_backoff_ms: Annotated[int, msgspec.Meta(ge=1)] = 5_000
    most_wait_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 10.0


class Breaker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[breaker]`` table: when a target, or one key of a provider, is left out for a while.

    Attributes:
        failures: so many failures in a row open it.
        failure_percent: or such a share of the attempts of ``window_s``, where there were ``least_attempts``.
        least_attempts: see there.
        window_s: see there.
        open_s: how long it stays open at first; each time it fails again twice as long.
        most_open_s: longest time it stays open.
        probes: successes one after the other, with one call at a time, that close it again.
    """

    failures: Positive = 5
    failure_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 30.0
    least_attempts: Positive = 20
    window_s: Seconds = 10.0
    open_s: Seconds = 2.0
    most_open_s: Seconds = 60.0
    probes: Positive = 2


class Shedding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[shedding]`` table: which calls are refused where a worker has more than it can do.

    Attributes:
        calls: calls under way in one worker, at which it is full; None: no such limit. Sheddable calls are refused at
            70 % of it, normal ones at 90 %.
        lag_ms: how late the event loop may run, in the mean of a second, before sheddable calls are refused; normal
            ones are at four times that, critical ones at sixteen times.
        memory_mib: resident memory of one worker, with the same steps as for calls; None: no such limit.
    """

    calls: Positive | None = 2000
    lag_ms: Positive = 100
    memory_mib: Positive | None = None


class PolicyWhen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which calls a policy is for: all that is given must hold.

    Attributes:
        models: what was asked for is one of them.
        keys: names of virtual keys; the call has one of them.
        teams: the call's key belongs to one of them.
        tags: the call has all of them.
        criticality: the call's is one of them.
        expected_usd_over: the call is expected to cost more at the target it would go to.
        running_usd_over: what the call has cost so far, its attempts before and the answer so far, is more.
        budget_percent: a budget in money that the call is under has used so much of its limit.
        flagged: the call's key, team or model has an anomaly flag.
    """

    models: tuple[Name, ...] = ()
    keys: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    criticality: tuple[Criticality, ...] = ()
    expected_usd_over: Usd | None = None
    running_usd_over: Usd | None = None
    budget_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    flagged: bool = False


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``[[policies]]`` table: what happens to calls that cost too much. The first one that holds decides.

    Attributes:
        name: how journal and headers name it.
        when: which calls it is for.
        then: ``use`` sends them to another model, ``refuse`` refuses them, ``flag`` lets them pass and says so.
        use: the model, for ``use``.
    """

    name: Name
    when: PolicyWhen
    then: Literal["use", "refuse", "flag"]
    use: str = ""
