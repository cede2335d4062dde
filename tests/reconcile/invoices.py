"""Invoices as providers would make them of the same traffic, written with loops of their own."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

HOUR_S = 3600
DAY_S = 86_400


class Call(NamedTuple):
    """A request that was really made."""

    at_s: int
    model: str
    input: int
    output: int


class Item(NamedTuple):
    """What an invoice says of a day, a model and a meter."""

    day_s: int
    model: str
    meter: str
    quantity: int
    usd: Decimal


Prices = dict[tuple[str, str], Decimal]


def items_of(calls: list[Call], prices: Prices, *, shift_h: int = 0) -> list[Item]:
    """Add calls up by day, model and meter; days begin so many hours after midnight UTC."""
    sums: dict[tuple[int, str, str], int] = defaultdict(int)
    for call in calls:
        day = (call.at_s - shift_h * HOUR_S) // DAY_S * DAY_S
        sums[day, call.model, "input"] += call.input
        sums[day, call.model, "output"] += call.output
    return [
        Item(day, model, meter, quantity, quantity * prices[model, meter] / 1_000_000)
        for (day, model, meter), quantity in sorted(sums.items())
    ]


def _iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def openai_json(items: list[Item]) -> str:
    days: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        days[item.day_s].append(
            {
                "object": "organization.costs.result",
                "amount": {"value": f"@{item.usd}@", "currency": "usd"},
                "line_item": f"{item.model}, {item.meter}",
                "project_id": "proj_1",
                "organization_id": "org-1",
                "quantity": item.quantity,
                "quantity_unit": "tokens",
            }
        )
    data = [
        {"object": "bucket", "start_time": day, "end_time": day + DAY_S, "results": found}
        for day, found in sorted(days.items())
    ]
    page = json.dumps({"object": "page", "data": data, "has_more": False, "next_page": None})
    return page.replace('"@', "").replace('@"', "")  # amounts are numbers, with all their digits


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def openai_csv(items: list[Item]) -> str:
    return _csv(
        [
            {
                "start_time": item.day_s,
                "end_time": item.day_s + DAY_S,
                "amount_value": item.usd,
                "amount_currency": "usd",
                "line_item": f"{item.model}, {item.meter}",
                "project_id": "proj_1",
                "quantity": item.quantity,
                "quantity_unit": "tokens",
            }
            for item in items
        ]
    )


def focus_csv(items: list[Item]) -> str:
    return _csv(
        [
            {
                "BilledCost": item.usd,
                "BillingCurrency": "USD",
                "ChargeCategory": "Usage",
                "ChargePeriodStart": _iso(item.day_s),
                "ChargePeriodEnd": _iso(item.day_s + DAY_S),
                "ConsumedQuantity": item.quantity,
                "ConsumedUnit": "Tokens",
                "SkuMeter": f"{item.meter.title()} Tokens",
                "SkuPriceDetails": json.dumps({"x_Model": item.model}),
            }
            for item in items
        ]
    )


def plain_csv(items: list[Item]) -> str:
    return _csv(
        [
            {
                "start": _iso(item.day_s),
                "model": item.model,
                "meter": item.meter,
                "quantity": Decimal(item.quantity) / 1000,
                "unit": "1K",
                "amount": item.usd,
            }
            for item in items
        ]
    )


def anthropic_json(items: list[Item]) -> str:
    tokens = {"input": "uncached_input_tokens", "output": "output_tokens"}
    days: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        days[item.day_s].append(
            {
                "currency": "USD",
                "amount": str(item.usd * 100),
                "workspace_id": None,
                "description": f"{item.model} Usage",
                "cost_type": "tokens",
                "model": item.model,
                "service_tier": "standard",
                "token_type": tokens[item.meter],
            }
        )
    data = [
        {"starting_at": _iso(day), "ending_at": _iso(day + DAY_S), "results": found}
        for day, found in sorted(days.items())
    ]
    return json.dumps({"data": data, "has_more": False, "next_page": None})


WITH_QUANTITIES: dict[str, Callable[[list[Item]], str]] = {
    "openai.json": openai_json,
    "openai.csv": openai_csv,
    "focus.csv": focus_csv,
    "plain.csv": plain_csv,
}
