"""Reads JSON lines, a JSON array, CSV or Parquet of any program, given which of its columns means what.

A column of the result is named as in ``COLUMNS`` below, a meter as in `usage.METERS`, a tag ``tag.NAME``; the file's
column is a name or, in JSON, a path such as ``usage.prompt_tokens``. What is not given is looked for under the names
in `guess`. ``input_tokens`` and ``output_tokens`` are totals that include what other columns count (cached tokens,
reasoning), as in OpenAI's API; ``input`` and ``output`` leave it out, as in Anthropic's.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from farebox.imports.guess import guess_columns
from farebox.imports.inclusive import Split, split_input, split_output
from farebox.imports.layout import Layout
from farebox.imports.names import maker_of, model_of, provider_of
from farebox.imports.options import Options
from farebox.imports.phrases import MAX_COUNT, MAX_TOTAL, added, length_of, named, or_zero, quoted, shown, told
from farebox.imports.records import Kind, Shape, WrongFile, members_of, read_records
from farebox.imports.tags import LISTED_TAGS, given_tags, list_steps, object_tags
from farebox.usage import METERS

_TEXTS = (
    *("source_id", "call_id", "answered_model", "asked_model", "operation", "dialect", "service_tier", "region"),
    *("user", "key_name", "team", "project", "session", "finish", "error"),
)
_NUMBERS = ("status", "requests", "part_system", "part_tools", "part_history", "part_context", "part_user")
_TOTALS = {"input_tokens": "input", "output_tokens": "output"}
# All that was written to a cache, where how long it is kept stands beside it, in some records or in none.
_WRITTEN = "cache_written"
_LENGTHS = {
    f"{name}_{unit}": (f"{name}_ns", factor)
    for name in ("first_token", "total")
    for unit, factor in (("ns", 1), ("ms", 1_000_000), ("s", 1_000_000_000))
}
# What `--column` takes beside meters and `tag.NAME`.
COLUMNS = (
    *("at", "end", "provider", "model", *_TEXTS, "outcome", "stream", "processing", "speed", "tags", "recorded_usd"),
    *(*_NUMBERS, *_TOTALS, _WRITTEN, *_LENGTHS),
)
_OUTCOMES = ("ok", "error", "unreachable", "truncated", "garbage", "client_gone", "cut", "lost", "outpaced")
_YES = "('true', 't', 'yes', 'y', '1')"


def select(path: str, options: Options) -> str:
    """Return the SELECT of the rows of a file whose columns are given or known by their names.

    Raises:
        WrongFile: where the file cannot be opened, a given column is not in it, or there is none for the time.
    """
    kind, members = members_of(path)
    given = dict(options.columns)
    _check(path, given)
    found = given | {
        name: place
        for name, place in guess_columns(kind in ("lines", "array"), members).items()
        if name not in given and not _is_covered(name, given)
    }
    _check_clash(path, found)
    if "at" not in found:
        raise WrongFile(f"{path}: no column for the time; say which with --column at=NAME; found {_listed(members)}")
    places = {name: _path(path, place, kind, members) for name, place in found.items()}
    shape = _shape(places.values())
    records = read_records(path, shape, tuple(shape), "a file with these columns")
    tags = {name: f"tag{number}" for number, name in enumerate(n for n in found if n.startswith("tag."))}
    values = {tags.get(name, name): "r." + ".".join(map(named, place)) for name, place in places.items()}
    values = dict.fromkeys(("provider", "model"), "NULL::VARCHAR") | values
    counts = [name for name in found if name in METERS or name in (*_NUMBERS, *_TOTALS, _WRITTEN)]
    splits = _splits(found)
    return Layout(
        records=records,
        values=values,
        counts={name: found[name] for name in counts},
        moments={name: found[name] for name in ("at", "end") if name in found},
        amounts={"recorded_usd": found["recorded_usd"]} if "recorded_usd" in found else {},
        columns=_columns(found, splits, options) | _tags(found, tags),
        rules=(*(rule for split in splits for rule in split.rules), *_length_rules(found), *_written_rules(found)),
        steps=list_steps("v_tags") if "tags" in found and not tags else (),
        most=MAX_TOTAL if "requests" in found else MAX_COUNT,
    ).select(options)


def _columns(found: Mapping[str, str], splits: tuple[Split, ...], options: Options) -> dict[str, str]:
    columns = {
        "provider": provider_of("v_provider", options, maker_of("v_model")),
        "model": model_of("v_model", options),
    }
    columns |= {name: f"v_{name}" for name in (*_TEXTS, "speed") if name in found}
    columns |= {name: f"n_{name}" for name in _NUMBERS if name in found}
    columns |= _meters(found)
    for split in splits:
        columns |= split.meters
    columns["outcome"] = _outcome(found)
    if "stream" in found:
        columns["stream"] = f"CASE WHEN v_stream IS NOT NULL THEN lower(v_stream) IN {_YES} END"
    if "processing" in found:
        columns["processing"] = (
            f"CASE WHEN lower(v_processing) IN {_YES} THEN 'batch' ELSE nullif(lower(v_processing), 'false') END"
        )
    if "recorded_usd" in found:
        columns["recorded_usd"] = "usd_recorded_usd"
    if "end" in found:
        columns["total_ns"] = "CASE WHEN us_end >= us_at THEN (us_end - us_at) * 1000 END"
    for name, (column, factor) in _LENGTHS.items():
        if name in found:
            columns[column] = length_of(f"v_{name}", factor)
    return columns


def _meters(found: Mapping[str, str]) -> dict[str, str]:
    meters = {name: f"n_{name}" for name in METERS if name in found}
    if _WRITTEN in found:
        long = or_zero("n_cache_write_1h") if "cache_write_1h" in found else "0"
        rest = f"n_{_WRITTEN} - {long}"
        meters["cache_write_5m"] = f"coalesce(n_cache_write_5m, {rest})" if "cache_write_5m" in found else rest
    return meters


def _tags(found: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    if tags:
        return {"tags": given_tags({name.removeprefix("tag."): f"v_{value}" for name, value in tags.items()})}
    if "tags" not in found:
        return {}
    return {"tags": f"CASE WHEN x_pairs IS NOT NULL THEN {LISTED_TAGS} ELSE {object_tags('v_tags')} END"}


def _outcome(found: Mapping[str, str]) -> str:
    """Return the phrase for how a request ended: as the books say it, or as a status or an error implies."""
    cases = []
    if "outcome" in found:
        cases.append(f"WHEN lower(v_outcome) IN ({', '.join(map(quoted, _OUTCOMES))}) THEN lower(v_outcome)")
        cases.append("WHEN TRY_CAST(v_outcome AS BIGINT) >= 400 THEN 'error'")
        cases.append("WHEN lower(v_outcome) IN ('error', 'failure', 'failed', 'fail', 'false') THEN 'error'")
    if "status" in found:
        cases.append("WHEN n_status >= 400 THEN 'error'")
    if "error" in found:
        cases.append("WHEN v_error IS NOT NULL THEN 'error'")
    return f"CASE {' '.join(cases)} ELSE 'ok' END" if cases else "'ok'"


def _splits(found: Mapping[str, str]) -> tuple[Split, ...]:
    """Return what totals come apart into, where the file has totals."""
    meters = _meters(found)
    splits = []
    if "input_tokens" in found:
        inside = {name: phrase for name, phrase in meters.items() if METERS[name].family == "input"}
        cached = {name: phrase for name, phrase in inside.items() if name.startswith("cache_")}
        others = {name: phrase for name, phrase in inside.items() if name not in cached}
        # Cached tokens of a modality are counted apart, so that nothing is in doubt about those that are not.
        apart = any(name.startswith("cache_read_") for name in cached)
        splits.append(split_input("n_input_tokens", found["input_tokens"], cached, others, apart=apart))
    if "output_tokens" in found:
        made = {name: phrase for name, phrase in meters.items() if METERS[name].family == "output"}
        splits.append(split_output("n_output_tokens", found["output_tokens"], made))
    return tuple(splits)


def _written_rules(found: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    kept = [f"n_{name}" for name in ("cache_write_5m", "cache_write_1h") if name in found]
    if _WRITTEN in found and kept:
        given = " OR ".join(f"{name} IS NOT NULL" for name in kept)
        sum_ = added(kept)
        said = told(f"{found[_WRITTEN]}: ", f"{{n_{_WRITTEN}}}", " is not the sum of its parts, ", f"{{{sum_}}}")
        yield f"({given}) AND {sum_} <> n_{_WRITTEN}", said


def _length_rules(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    rules = []
    for name, (_, factor) in _LENGTHS.items():
        if name in found:
            said = f"{quoted(found[name] + ': ')} || {shown(f'v_{name}')} || ' is not a length of time'"
            rules.append((f"v_{name} IS NOT NULL AND {length_of(f'v_{name}', factor)} IS NULL", said))
    return tuple(rules)


def _check(path: str, given: Mapping[str, str]) -> None:
    for name in given:
        if name not in COLUMNS and name not in METERS and not name.startswith("tag."):
            raise WrongFile(
                f"{path}: --column {name}=...: there is no {name!r}; "
                f"there are {', '.join(COLUMNS)}, the meters, and tag.NAME"
            )


def _check_clash(path: str, found: Mapping[str, str]) -> None:
    for total, rest in _TOTALS.items():
        if total in found and rest in found:
            raise WrongFile(
                f"{path}: {total} ({found[total]}) includes cached tokens or reasoning, "
                f"and {rest} ({found[rest]}) does not: give one of both"
            )


def _is_covered(name: str, given: Mapping[str, str]) -> bool:
    """Return whether a guess would say once more, or otherwise, what is given."""
    for total, rest in _TOTALS.items():
        if (name == total and rest in given) or (name == rest and total in given):
            return True
    return name in _LENGTHS and any(_LENGTHS[other][0] == _LENGTHS[name][0] for other in given if other in _LENGTHS)


def _path(path: str, place: str, kind: Kind, members: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the members that lead to a value; a name with dots is a column's own where there is one of that name."""
    if place in members:
        return (place,)
    first, *rest = place.split(".")
    if rest and kind in ("lines", "array") and first in members:
        return (first, *rest)
    raise WrongFile(f"{path}: there is no column {place!r}; found {_listed(members)}")


def _shape(places: Any) -> Shape:
    shape: dict[str, Any] = {}
    for first, *rest in places:
        inside = shape
        step = first
        for below in rest:
            inside = inside.setdefault(step, {})
            step = below
        inside[step] = "VARCHAR"
    return shape


def _listed(members: Mapping[str, Any]) -> str:
    return ", ".join(list(members)[:20])
