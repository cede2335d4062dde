"""The exports that can be read: each becomes lines. A model or meter that is not known stays unknown, never guessed.

openai-costs    GET /v1/organization/costs (JSON, buckets of a day) and the dashboard's cost export (CSV)
anthropic-cost  GET /v1/organizations/cost_report (JSON, amounts in cents, no quantities)
focus           FOCUS 1.2 (CSV)
csv             any CSV by a map of its columns
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from farebox.reconcile.billed import (
    BilledLine,
    Kind,
    WrongInvoice,
    identity_of,
    need_usd,
    read_amount,
    read_moment,
    read_quantity,
)
from farebox.usage import METERS

FORMATS = ("openai-costs", "anthropic-cost", "focus", "csv")
COLUMNS = ("start", "end", "model", "meter", "quantity", "unit", "amount", "currency", "kind", "sku")
_DAY_NS = 86_400_000_000_000
# What follows the model in a line item of OpenAI's, and token types of Anthropic's.
_OPENAI_METERS = {
    "input": "input",
    "output": "output",
    "cached input": "cache_read",
    "input cached": "cache_read",
    "cache write": "cache_write_30m",
    "input cache write": "cache_write_30m",
    "audio input": "input_audio",
    "audio output": "output_audio",
    "image input": "input_image",
    "image output": "output_image",
}
_ANTHROPIC_METERS = {
    "uncached_input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
}
_FOCUS_METERS = {
    "input tokens": "input",
    "output tokens": "output",
    "cached input tokens": "cache_read",
    "cache read tokens": "cache_read",
    "cache write tokens": "cache_write_5m",
}
_FOCUS_KINDS: Mapping[str, Kind] = {
    "usage": "usage",
    "purchase": "fee",
    "tax": "tax",
    "credit": "credit",
    "adjustment": "credit",
}


def sniff(text: str) -> str:
    """Return the format of a file by what stands in it.

    Raises:
        WrongInvoice: where it is none of them.
    """
    head = text.lstrip("\ufeff \r\n\t")[:4000]
    if not head:
        raise WrongInvoice("the file is empty")
    if head.startswith(("{", "[")):
        if '"organization.costs.result"' in text or '"line_item"' in text:
            return "openai-costs"
        if '"starting_at"' in text and '"results"' in text:
            return "anthropic-cost"
    columns = {name.strip().strip('"') for name in head.partition("\n")[0].split(",")}
    if {"BilledCost", "ChargePeriodStart"} <= columns:
        return "focus"
    if {"amount_value", "line_item"} <= columns:
        return "openai-costs"
    if {"start", "amount"} <= columns:
        return "csv"
    raise WrongInvoice(
        f"the file is none of {', '.join(FORMATS)} by its content; give --format, and for csv the columns with --column"
    )


def read_lines(text: str, form: str, columns: Mapping[str, str]) -> list[BilledLine]:
    """Return the lines of an export.

    Args:
        text: of the file.
        form: one of `FORMATS`.
        columns: for ``csv``: the file's name of each of `COLUMNS`.

    Raises:
        WrongInvoice: where it cannot be read.
    """
    if not text.strip():
        raise WrongInvoice("the file is empty")
    readers = {"openai-costs": _openai, "anthropic-cost": _anthropic, "focus": _focus}
    lines = list(_mapped(text, columns) if form == "csv" else readers[form](text))
    if not lines:
        raise WrongInvoice("there is no line in it")
    return lines


def _pages(text: str) -> Iterator[dict[str, Any]]:
    """Yield the buckets of an API's pages: one page, several in a row, or an array of them."""
    decoder = json.JSONDecoder(parse_float=Decimal)
    place, text = 0, text.strip().lstrip("\ufeff")
    while place < len(text):
        try:
            page, end = decoder.raw_decode(text, place)
        except ValueError as error:
            raise WrongInvoice(f"the file is no JSON: {error}") from None
        for one in page if isinstance(page, list) else [page]:
            data = one.get("data") if isinstance(one, dict) else None
            if not isinstance(data, list):
                raise WrongInvoice("a page has no list 'data': take the answer of the API as it is")
            yield from data
        place = end
        while place < len(text) and text[place].isspace():
            place += 1


def _openai(text: str) -> Iterator[BilledLine]:
    if text.lstrip("\ufeff \r\n\t").startswith(("{", "[")):
        row = 0
        for bucket in _pages(text):
            for result in bucket.get("results", []):
                row += 1
                amount = result.get("amount") or {}
                record = {
                    "start_time": bucket.get("start_time"),
                    "end_time": bucket.get("end_time"),
                    "amount_value": amount.get("value"),
                    "amount_currency": amount.get("currency"),
                    **{name: result.get(name) for name in ("line_item", "project_id", "quantity", "quantity_unit")},
                }
                yield _openai_line(record, row)
        return
    for row, record in enumerate(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))), 1):
        yield _openai_line(record, row)


def _openai_line(record: Mapping[str, Any], row: int) -> BilledLine:
    need_usd(record.get("amount_currency"), row)
    amount, step = read_amount(record.get("amount_value"), row, "amount")
    item = str(record.get("line_item") or "")
    model, comma, what = item.rpartition(", ")
    meter = _OPENAI_METERS.get(what.strip().lower(), "") if comma else ""
    start_ns = read_moment(record.get("start_time"), row, "start_time")
    end = record.get("end_time")
    return BilledLine(
        row=row,
        start_ns=start_ns,
        end_ns=read_moment(end, row, "end_time") if end else start_ns + _DAY_NS,
        sku=item,
        model=model if meter else "",
        meter=meter,
        quantity=read_quantity(record.get("quantity"), str(record.get("quantity_unit") or "tokens"), row),
        amount_femto=amount,
        kind="credit" if amount < 0 else "usage",
        identity=identity_of(record),
        step_femto=step,
    )


def _anthropic(text: str) -> Iterator[BilledLine]:
    row = 0
    for bucket in _pages(text):
        for result in bucket.get("results", []):
            row += 1
            need_usd(result.get("currency"), row)
            amount, step = read_amount(result.get("amount"), row, "amount", per_usd=100)
            meter = _ANTHROPIC_METERS.get(str(result.get("token_type") or ""), "")
            if result.get("cost_type") == "web_search":
                meter = "web_search"
            yield BilledLine(
                row=row,
                start_ns=read_moment(bucket.get("starting_at"), row, "starting_at"),
                end_ns=read_moment(bucket.get("ending_at"), row, "ending_at"),
                sku=str(result.get("description") or ""),
                model=str(result.get("model") or ""),
                meter=meter,
                quantity=None,
                amount_femto=amount,
                kind="credit" if amount < 0 else "usage",
                identity=identity_of({**result, "starting_at": bucket.get("starting_at")}),
                step_femto=step,
            )


def _focus(text: str) -> Iterator[BilledLine]:
    for row, record in enumerate(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))), 1):
        need_usd(record.get("BillingCurrency"), row)
        amount, step = read_amount(record.get("BilledCost"), row, "BilledCost")
        category = str(record.get("ChargeCategory") or "Usage").lower()
        if category not in _FOCUS_KINDS:
            raise WrongInvoice(f"row {row}: ChargeCategory {category!r} is not one of FOCUS 1.2")
        named = str(record.get("SkuMeter") or "")
        yield BilledLine(
            row=row,
            start_ns=read_moment(record.get("ChargePeriodStart"), row, "ChargePeriodStart"),
            end_ns=read_moment(record.get("ChargePeriodEnd"), row, "ChargePeriodEnd"),
            sku=named or str(record.get("ChargeDescription") or ""),
            model=_focus_model(record),
            meter=named if named in METERS else _FOCUS_METERS.get(named.lower(), ""),
            quantity=read_quantity(record.get("ConsumedQuantity"), str(record.get("ConsumedUnit") or ""), row),
            amount_femto=amount,
            kind=_FOCUS_KINDS[category],
            identity=identity_of(record),
            step_femto=step,
        )


def _focus_model(record: Mapping[str, Any]) -> str:
    try:
        details = json.loads(record.get("SkuPriceDetails") or "{}")
    except ValueError:
        details = {}
    found = details.get("x_Model") or details.get("x_model") if isinstance(details, dict) else None
    return str(found or record.get("x_Model") or record.get("ResourceName") or "")


def _mapped(text: str, columns: Mapping[str, str]) -> Iterator[BilledLine]:
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown:
        raise WrongInvoice(f"--column {unknown[0]}: there are {', '.join(COLUMNS)}")
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    there = reader.fieldnames or []
    names = {name: columns.get(name, name) for name in COLUMNS}
    for name in ("start", "amount"):
        if names[name] not in there:
            raise WrongInvoice(f"there is no column {names[name]!r} for {name}: give --column {name}=COLUMN")
    for row, record in enumerate(reader, 1):
        said = {name: str(record.get(column) or "").strip() for name, column in names.items()}
        need_usd(said["currency"] or "USD", row)
        amount, step = read_amount(said["amount"], row, names["amount"])
        start_ns = read_moment(said["start"], row, names["start"])
        kind = said["kind"].lower() or ("credit" if amount < 0 else "usage")
        if kind not in {"usage", "credit", "tax", "fee"}:
            raise WrongInvoice(f"row {row}: {names['kind']} {kind!r} is none of usage, credit, tax, fee")
        yield BilledLine(
            row=row,
            start_ns=start_ns,
            end_ns=read_moment(said["end"], row, names["end"]) if said["end"] else start_ns + _DAY_NS,
            sku=said["sku"] or f"{said['model']} {said['meter']}".strip(),
            model=said["model"],
            meter=said["meter"] if said["meter"] in METERS else "",
            quantity=read_quantity(said["quantity"], said["unit"], row),
            amount_femto=amount,
            kind=kind,  # type: ignore[arg-type]  # it is one of them
            identity=identity_of(record),
            step_femto=step,
        )
