"""How well anomalies are found: precision, recall, false alarms and delay on labelled traffic, thresholds as shipped.

Run: .venv/bin/python -m bench.anomalies [--series 30] [--weeks 8] [--hours]

For each volume, as many clean series as series with an anomaly of one of six kinds, a minute at a time. An episode is
right where it is told after an anomaly began and no later than a day after it ended; every other one is a false alarm,
in clean and in labelled series alike. Recall counts anomalies, precision episodes. The first two weeks of a series, in
which only a wide band is known, count for false alarms too.
"""

import argparse
import statistics
import time
from collections import defaultdict

import msgspec
from bench.anomaly_traffic import KINDS, Series, make_series, tallies
from farebox.anomalies.tally import HOUR_MINUTES
from farebox.anomalies.watch import QUANTITIES, Episode, Watch

VOLUMES = (20, 300, 5000)
GRACE_HOURS = 24
_MONTH_HOURS = 30 * 24


class Score(msgspec.Struct):
    """How well the anomalies of one volume were found.

    Attributes:
        found, missed: anomalies by kind.
        right, wrong: episodes.
        delays: of those found, in minutes, by kind.
        hours: of traffic that was watched.
        points: quantities and minutes that were judged.
        seconds: of processor time that this took.
    """

    found: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    missed: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    right: int = 0
    wrong: int = 0
    delays: dict[str, list[int]] = msgspec.field(default_factory=lambda: defaultdict(list))
    hours: int = 0
    points: int = 0
    seconds: float = 0.0

    @property
    def recall(self) -> float:
        """Share of the anomalies that were found."""
        found, missed = sum(self.found.values()), sum(self.missed.values())
        return found / (found + missed)

    @property
    def precision(self) -> float:
        """Share of the episodes that were right."""
        return self.right / max(1, self.right + self.wrong)

    @property
    def false_per_month(self) -> float:
        """False alarms in 30 days of one key."""
        return self.wrong * _MONTH_HOURS / self.hours


def watch(series: Series, steps: int, score: Score) -> list[Episode]:
    """Return the episodes of a series that is watched in so many steps an hour."""
    used = list(tallies(series, steps))
    eye = Watch()
    found: list[Episode] = []
    began = time.process_time()
    for step, tally in enumerate(used):
        hour, part = divmod(step, steps)
        minute = hour * HOUR_MINUTES + (part + 1) * HOUR_MINUTES // steps - 1
        eye.take(minute, tally)
        if steps > 1:
            eye.look(minute)
        if part == steps - 1:
            eye.move_to(hour + 1)
        if eye.episode is not None and (not found or found[-1] is not eye.episode):
            found.append(eye.episode)
    score.seconds += time.process_time() - began
    score.hours += len(used) // steps
    score.points += len(used) // steps * len(QUANTITIES) + (len(used) if steps > 1 else 0)
    return found


def judge(series: Series, episodes: list[Episode], score: Score) -> None:
    """Hold the episodes against the label."""
    label = series.label
    if label is None:
        score.wrong += len(episodes)
        return
    start, end = label.start * HOUR_MINUTES, (label.end + GRACE_HOURS) * HOUR_MINUTES
    right = [each for each in episodes if start < each.found <= end]
    score.right += len(right)
    score.wrong += len(episodes) - len(right)
    (score.found if right else score.missed)[label.kind] += 1
    if right:
        score.delays[label.kind].append(right[0].found - start)


def run(volume: float, count: int, weeks: int, steps: int, seed: int = 0) -> Score:
    """Return how well anomalies are found at a volume, in so many series with and as many without."""
    score = Score()
    for index in range(count):
        for kind in ("", KINDS[index % len(KINDS)]):
            series = make_series(volume, weeks, seed + 2 * index + bool(kind), kind)
            judge(series, watch(series, steps, score), score)
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--series", type=int, default=30, help="with an anomaly, and as many without (30)")
    parser.add_argument("--weeks", type=int, default=8, help="of each series (8)")
    parser.add_argument("--hours", action="store_true", help="by the hour only, as a scan of the books does")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print("| requests an hour | precision | recall | false alarms per key and month | CPU a point |")
    print("|---|---|---|---|---|")
    scores = {}
    for volume in VOLUMES:
        score = scores[volume] = run(volume, asked.series, asked.weeks, 1 if asked.hours else 60, asked.seed)
        cost_us = score.seconds / score.points * 1e6
        print(
            f"| {volume:,} | {score.precision:.2f} | {score.recall:.2f} "
            f"| {score.false_per_month:.2f} | {cost_us:.1f} µs |",
            flush=True,
        )
    print("\n| found, and median delay | " + " | ".join(f"{volume:,} an hour" for volume in VOLUMES) + " |")
    print("|---|" + "---|" * len(VOLUMES))
    for kind in KINDS:
        print(f"| {kind} | " + " | ".join(_found(scores[volume], kind) for volume in VOLUMES) + " |")


def _found(score: Score, kind: str) -> str:
    found, missed = score.found[kind], score.missed[kind]
    if not found:
        return f"0 of {missed}"
    delay = statistics.median(score.delays[kind])
    words = f"{delay:.0f} min" if delay < 2 * HOUR_MINUTES else f"{delay / HOUR_MINUTES:.0f} h"
    return f"{found} of {found + missed}, {words}"


if __name__ == "__main__":
    main()
