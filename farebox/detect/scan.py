"""Finds the anomalies of books that are there already, hour by hour: what watching them would have told, and when."""

from collections.abc import Callable, Iterable, Iterator

from farebox.anomalies.incident import History, Incident, incidents_of
from farebox.anomalies.tally import HOUR_MINUTES, Cell, Tally
from farebox.anomalies.watch import Episode, Watch
from farebox.books.query import Books
from farebox.books.used import HOUR_NS, Used, used_by

MOST_SCOPES = 1000


def read_history(books: Books) -> History:
    """Return what was used in every hour of the books."""
    history = History()
    for used in used_by(books, HOUR_NS):
        history.add(used.span, cell_of(used), tally_of(used))
    return history


def scan(history: History, least_femto: int, tell: Callable[[int, int], None] | None = None) -> list[Incident]:
    """Return the incidents of a history, the first first.

    Args:
        history: see `read_history`.
        least_femto: what was spent beyond the usual at least for it to be told.
        tell: is told how many scopes of how many were watched.
    """
    if not history.hours:
        return []
    episodes: list[tuple[str, Episode]] = []
    series = series_of(history)
    for number, (scope, hours) in enumerate(series.items(), 1):
        episodes += ((scope, episode) for episode in _episodes(hours, max(history.hours)))
        if tell is not None:
            tell(number, len(series))
    found = [each for group in _groups(episodes) for each in incidents_of(history, group, least_femto)]
    return sorted(found, key=lambda each: (each.start, each.scope))


def series_of(history: History) -> dict[str, dict[int, Tally]]:
    """Return what each scope used by the hour; of too many scopes those that spent most."""
    series: dict[str, dict[int, Tally]] = {}
    for hour, cells in history.hours.items():
        for cell, used in cells.items():
            for scope in cell.scopes():
                series.setdefault(scope, {}).setdefault(hour, Tally()).add(used)
    spent = {scope: sum(used.cost_femto for used in hours.values()) for scope, hours in series.items()}
    kept = sorted(series, key=lambda scope: (-spent[scope], scope))[:MOST_SCOPES]
    return {scope: series[scope] for scope in sorted(kept)}


def _episodes(hours: dict[int, Tally], last: int) -> Iterator[Episode]:
    """Yield the episodes of one scope up to the end of the last hour."""
    eye, told = Watch(), None
    eye.move_to(min(hours))
    for hour in range(min(hours), last + 1):
        if hour in hours:
            eye.take(hour * HOUR_MINUTES, hours[hour])
        eye.move_to(hour + 1)
        if eye.episode is not None and eye.episode is not told:
            told = eye.episode
            yield told


def _groups(episodes: Iterable[tuple[str, Episode]]) -> Iterator[dict[str, Episode]]:
    """Yield episodes that were told at the same time, give or take what one lasts; of a scope once."""
    group: dict[str, Episode] = {}
    until = -1
    for scope, episode in sorted(episodes, key=lambda each: (each[1].start, each[0])):
        if group and (episode.start >= until or scope in group):
            yield group
            group, until = {}, -1
        group[scope] = episode
        until = max(until, episode.found)
    if group:
        yield group


def cell_of(used: Used) -> Cell:
    """Return the group of attempts."""
    return Cell(used.key, used.team, used.model, used.target, used.tags)


def tally_of(used: Used) -> Tally:
    """Return what it used."""
    return Tally(*(getattr(used, name) for name in Tally.__struct_fields__))
