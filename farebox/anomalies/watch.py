"""One scope under watch: hour by hour against its own past, minute by minute against the hour to come.

Six quantities are gauged: cost and requests as sums; cost per request, tokens per request, price per token and the
share of the input that no cache held as means. Each is on the watch for a rise. An episode is open from the first that
is out of the ordinary until all have been calm for a while; however long it lasts and however many quantities tell it,
it is one.
"""

import math

import msgspec

from farebox.anomalies.burn import Burn, Usual
from farebox.anomalies.gauge import LEARNING_HOURS, Gauge, Verdict
from farebox.anomalies.tally import HOUR_MINUTES, WEEK_HOURS, Tally
from farebox.anomalies.young import ERROR, Young

SUMS = ("cost", "requests")
QUANTITIES = (*SUMS, "cost per request", "tokens per request", "price per token", "uncached share")
CALM_HOURS = 3
ACCEPT_HOURS = 96  # a rise that lasts so long is the new usual
_HALF = 0.5  # in place of no request, which has no logarithm
_LEAST_SHARE = 0.02  # likewise for an input that is cached as a whole


class Signal(msgspec.Struct, frozen=True):
    """What was out of the ordinary.

    Attributes:
        quantity: see `QUANTITIES`, or ``cost by the minute``.
        ratio: how many times the usual.
        z: how far above it in standard errors; 0 where there is less than two weeks to compare with.
    """

    quantity: str
    ratio: float
    z: float


class Episode(msgspec.Struct):
    """A time in which a scope is out of the ordinary. Minutes since the epoch, the end excluded.

    Attributes:
        start: first minute of what told it.
        found: when it was told.
        signals: what told it, the first first.
        young: whether there was less than two weeks to compare with.
        calm: hours in a row that were near the usual.
        end: when it was over, or None.
        accepted: whether it ended because it is taken for the new usual.
    """

    start: int
    found: int
    signals: list[Signal]
    young: bool = False
    calm: int = 0
    end: int | None = None
    accepted: bool = False


class Watch(msgspec.Struct):
    """One scope under watch.

    Attributes:
        gauges: by quantity.
        burn: the last six hours by minute.
        young: what is compared with in the first two weeks.
        hour: the hour under way, since the epoch, or -1 before the first minute.
        hours: that were learned.
        used: what was used in the hour under way.
        episode: the one that is open, or the last.
    """

    gauges: dict[str, Gauge] = msgspec.field(default_factory=lambda: {name: Gauge(name in SUMS) for name in QUANTITIES})
    burn: Burn = msgspec.field(default_factory=Burn)
    young: Young = msgspec.field(default_factory=Young)
    hour: int = -1
    hours: int = 0
    used: Tally = msgspec.field(default_factory=Tally)
    episode: Episode | None = None

    def is_young(self) -> bool:
        """Whether there is less than two weeks to compare with."""
        return self.hours < LEARNING_HOURS

    def is_open(self) -> bool:
        """Whether an episode is open."""
        return self.episode is not None and self.episode.end is None

    def move_to(self, hour: int) -> None:
        """Let time pass up to an hour since the epoch: those that are over are judged and learned."""
        if self.hour < 0:
            self.hour = hour
        while self.hour < hour:
            used, self.used = self.used, Tally()
            self._end_hour(self.hour, used)
            self.hour += 1

    def take(self, minute: int, used: Tally) -> None:
        """Count what was used in a minute of the hour under way."""
        self.used.add(used)
        self.burn.take(minute, used.attempts, float(used.cost_femto))

    def look(self, minute: int) -> None:
        """Judge the minutes up to this one, which is in the hour under way."""
        self.burn.move_to(minute)
        if self.is_young():
            most = self.young.usual()
            if most is None:
                return
            usual = Usual(most, 1.0, lambda _requests: ERROR)
            found = self.burn.judge(lambda _hour: usual)
        else:
            found = self.burn.judge(self.usual)
        if found is not None:
            signal = Signal("cost by the minute", found.ratio, 0.0 if self.is_young() else found.z)
            self._tell(found.start, minute + 1, [signal])

    def usual(self, hour: int) -> Usual:
        """Return what an hour since the epoch usually costs; only of a scope that is not young."""
        of_week = hour % WEEK_HOURS
        requests = self._requests(of_week)
        gauge = self.gauges["cost"]
        return Usual(
            math.exp(gauge.usual(of_week, requests)[0]), requests, lambda count: gauge.usual(of_week, count)[1]
        )

    def _requests(self, of_week: int) -> float:
        """Return how many requests an hour of the week usually has: its median as it is, with no regard to chance."""
        return math.exp(self.gauges["requests"].usual(of_week, math.inf)[0])

    def _end_hour(self, hour: int, used: Tally) -> None:
        cost = float(used.cost_femto)
        if self.is_young():
            ratio = self.young.ratio(cost, used.attempts)
            if ratio is not None:
                self._tell(hour * HOUR_MINUTES, (hour + 1) * HOUR_MINUTES, [Signal("cost", ratio, 0.0)])
            self._calm(hour, calm=ratio is None)
            self.young.learn(cost)
            self._learn(hour, used, {})
        else:
            verdicts = self._judge(hour, used)
            told = [(name, each) for name, each in verdicts.items() if each.jumped or each.rose]
            if told:
                start = hour - max(0 if each.jumped else self.gauges[name].sum_hours - 1 for name, each in told)
                signals = [Signal(name, each.ratio, each.z) for name, each in told]
                self._tell(start * HOUR_MINUTES, (hour + 1) * HOUR_MINUTES, signals)
            self._calm(hour, calm=all(each.calm for each in verdicts.values()))
            self._learn(hour, used, verdicts)
        self.hours += 1

    def _judge(self, hour: int, used: Tally) -> dict[str, Verdict]:
        of_week = hour % WEEK_HOURS
        requests = self._requests(of_week)
        return {
            name: self.gauges[name].judge(value, of_week, weight or requests)
            for name, value, weight in _values_of(used)
            if value is not None
        }

    def _learn(self, hour: int, used: Tally, verdicts: dict[str, Verdict]) -> None:
        of_week = hour % WEEK_HOURS
        requests = self._requests(of_week)
        odd = self.is_open() and not self.is_young()
        for name, value, weight in _values_of(used):
            known = verdicts.get(name)
            unusual = odd and not (known is not None and known.calm)
            self.gauges[name].learn(value, of_week, weight or requests, odd=unusual)

    def _tell(self, start: int, now: int, signals: list[Signal]) -> None:
        episode = self.episode
        if episode is None or episode.end is not None:
            earliest = 0 if episode is None or episode.end is None else episode.end
            self.episode = Episode(max(start, earliest), now, signals, self.is_young())
            return
        episode.calm = 0
        known = {each.quantity for each in episode.signals}
        episode.signals += [each for each in signals if each.quantity not in known]

    def _calm(self, hour: int, *, calm: bool) -> None:
        """Let an open episode end after some calm hours, or when it has become the usual."""
        episode = self.episode
        if episode is None or episode.end is not None:
            return
        episode.calm = episode.calm + 1 if calm else 0
        if episode.calm >= CALM_HOURS:
            episode.end = (hour + 1) * HOUR_MINUTES
        elif (hour + 1) * HOUR_MINUTES - episode.start >= ACCEPT_HOURS * HOUR_MINUTES:
            episode.end, episode.accepted = (hour + 1) * HOUR_MINUTES, True
            for gauge in self.gauges.values():
                gauge.accept()
        else:
            return
        for gauge in self.gauges.values():
            gauge.calm_down()


def _values_of(used: Tally) -> list[tuple[str, float | None, float]]:
    """Return the quantities of an hour, None where there is nothing to measure, and the requests that a mean is of."""
    priced = used.attempts - used.unpriced
    tokens = used.input_tokens + used.output_tokens
    cost = float(used.cost_femto) or None
    return [
        ("requests", used.attempts or _HALF, 0.0),
        ("cost", cost, 0.0),
        ("cost per request", cost / priced if cost and priced else None, priced),
        ("tokens per request", tokens / priced if tokens and priced else None, priced),
        ("price per token", cost / tokens if cost and tokens else None, priced),
        (
            "uncached share",
            (used.input_tokens - used.cached_tokens) / used.input_tokens + _LEAST_SHARE if used.input_tokens else None,
            priced,
        ),
    ]
