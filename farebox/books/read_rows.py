"""From the books' columns, as DuckDB gives them, to rows: amounts as integers, what is not there as None."""

from typing import Any

from farebox.books.rows import AttemptRow, LineRow, RecordedRow
from farebox.books.schema import PARTS


def recorded_of(row: dict[str, Any]) -> RecordedRow:
    """Return what is on record of an attempt."""
    row["flags"] = tuple(row["flags"])
    row["lines"] = _lines(row["lines"])
    row["total_femto"] = _whole(row["total_femto"])
    row["region"], row["deployment"] = row["region"] or "", row["deployment"] or ""
    return RecordedRow(**row)


def _lines(lines: list[dict[str, Any]]) -> tuple[LineRow, ...]:
    return tuple(
        LineRow(
            line["meter"],
            line["quantity"],
            int(line["unit_price_femto"]),
            int(line["amount_femto"]),
            line["rate"],
            1 if line["per"] is None else line["per"],
        )
        for line in lines
    )


def attempt_of(row: dict[str, Any]) -> AttemptRow:
    """Return an attempt with everything on record."""
    parts = {part: row[f"part_{part}"] for part in PARTS if row[f"part_{part}"] is not None}
    special = {
        "sent_at_ns": row["sent_at"],
        "done_at_ns": row["done_at"],
        "parts": parts,
        "lines": _lines(row["lines"]),
        "flags": tuple(row["flags"]),
        "total_femto": _whole(row["total_femto"]),
        "region": row["region"] or "",
        "deployment": row["deployment"] or "",
        "reported_femto": _whole(row["reported_femto"]),
    }
    names = AttemptRow.__struct_fields__
    return AttemptRow(**{name: special[name] if name in special else row[name] for name in names})


def _whole(amount: Any) -> int | None:
    return None if amount is None else int(amount)
