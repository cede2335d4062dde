"""The books as FOCUS 1.2 (FinOps Open Cost and Usage Specification), exact to the last digit.

One row for a period, a key, a provider, a model, a tier, a region and a meter. Costs are what the attempts came to;
list prices stand beside them where all of a row has one. ``ServiceProviderName`` and ``HostProviderName`` are there as
well, so that later versions of the specification are a projection. Columns of our own begin with ``x_``.
"""

from pathlib import Path
from typing import Literal

import msgspec

from farebox.books.parquet import BooksFailed
from farebox.books.query import Books
from farebox.errors import FareboxError
from farebox.reprice.sql import named, quoted
from farebox.reprice.traffic import DuckEngine
from farebox.usage import METERS

Grain = Literal["hour", "day"]
_FEMTO_DIGITS = 15
_EMPTY = "NULL::VARCHAR"
_TEXT, _MONEY, _MOMENT = "VARCHAR", "DECIMAL(38,15)", "VARCHAR"
# What is the same in every row.
_FIXED: dict[str, str] = {
    "BillingAccountId": "'farebox'",
    "BillingAccountName": _EMPTY,
    "BillingAccountType": _EMPTY,
    "BillingCurrency": "'USD'",
    "ChargeCategory": "'Usage'",
    "ChargeClass": _EMPTY,
    "ChargeFrequency": "'Usage-Based'",
    "PricingCategory": "'Standard'",
    "ResourceType": "'Model'",
    "ServiceCategory": "'AI and Machine Learning'",
    "ServiceSubcategory": "'Generative AI'",
}
# Columns of which Farebox has nothing.
_ABSENT = (
    "AvailabilityZone",
    "CapacityReservationId",
    "CapacityReservationStatus",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "InvoiceId",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
)


class Exported(msgspec.Struct, frozen=True):
    """What was written: rows, their billed cost in femtodollars, and attempts without a price, which are in no row."""

    rows: int
    billed_femto: int
    unpriced: int


class ExportFailed(FareboxError):
    """The file could not be written; the message says why."""


def export_focus(books: Books, path: Path, grain: Grain) -> Exported:
    """Write the books of a window into a CSV or Parquet file, by the file's name.

    Raises:
        ExportFailed: where it cannot be written.
    """
    options = {".csv": "FORMAT csv, HEADER", ".parquet": "FORMAT parquet, COMPRESSION zstd"}.get(path.suffix)
    if options is None:
        raise ExportFailed(f"{path}: write a file that ends in .csv or .parquet")
    if not path.parent.is_dir():
        raise ExportFailed(f"{path}: cannot be written: there is no directory {path.parent}")
    engine = DuckEngine()
    try:
        engine.rows(f"CREATE TABLE charges AS {_grouped(books.select, grain)}")
        columns = ", ".join(f"CAST({phrase} AS {kind}) AS {named(name)}" for name, (phrase, kind) in _columns().items())
        order = "ChargePeriodStart, SubAccountId, ProviderName, ResourceName, SkuMeter, SkuPriceId"
        engine.rows(f"COPY (SELECT {columns} FROM charges ORDER BY {order}) TO {quoted(str(path))} ({options})")  # noqa: S608 - quoted
        rows, billed = engine.rows("SELECT count(*), coalesce(sum(list_femto + contract_femto), 0) FROM charges")[0]
    except BooksFailed as error:
        raise ExportFailed(f"{path}: cannot be written: {error}") from error
    finally:
        engine.close()
    return Exported(rows, int(billed), books.total().unpriced)


def _grouped(select: str, grain: Grain) -> str:
    """Return the SELECT of the charges, by what makes a row."""
    keys = "period, hour_grain, key_name, team, project, rate_provider, provider, used, tier, used_region, book, meter"
    lines = (
        f"SELECT date_trunc({quoted(grain)}, sent_at) AS period, {quoted(grain)} = 'hour' AS hour_grain, "  # noqa: S608 - ours
        "coalesce(key_name, '') AS key_name, "
        "coalesce(team, '') AS team, coalesce(project, '') AS project, rate_provider, provider, "
        "coalesce(nullif(answered_model, ''), model) AS used, "
        "coalesce(nullif(processing, ''), nullif(service_tier, ''), 'standard') AS tier, "
        f"coalesce(region, '') AS used_region, book, unnest(lines) AS line FROM ({select})"
    )
    marked = (
        "SELECT *, line.meter AS meter, starts_with(line.rate, 'contract/') AS agreed, "  # noqa: S608 - as above
        f"NOT (agreed OR ends_with(line.rate, '!least')) AS own FROM ({lines})"
    )
    return (
        f"SELECT {keys}, coalesce(sum(line.quantity) FILTER (own), 0) AS quantity, count(*) FILTER (own) AS attempts, "  # noqa: S608 - as above
        "coalesce(sum(line.amount_femto) FILTER (NOT agreed), 0) AS list_femto, "
        "coalesce(sum(line.amount_femto) FILTER (agreed), 0) AS contract_femto, "
        "CASE WHEN count(DISTINCT line.rate) FILTER (NOT agreed) = 1 THEN min(line.rate) FILTER (NOT agreed) END "
        "AS rate, CASE WHEN count(DISTINCT (line.unit_price_femto, line.per)) FILTER (NOT agreed) = 1 THEN "
        "min(line.unit_price_femto) FILTER (NOT agreed) END AS unit_femto, "
        f"min(line.per) FILTER (NOT agreed) AS per FROM ({marked}) GROUP BY {keys}"
    )


def _usd(femto: str) -> str:
    """Return the phrase of an exact decimal for a phrase of femtodollars."""
    size = f"abs(({femto})::HUGEINT)"
    whole = f"({size} // 1000000000000000)::VARCHAR"
    part = f"lpad(({size} % 1000000000000000)::VARCHAR, {_FEMTO_DIGITS}, '0')"
    return f"CASE WHEN {femto} < 0 THEN '-' ELSE '' END || {whole} || '.' || {part}"


def _moment(phrase: str) -> str:
    return f"strftime({phrase}, '%Y-%m-%dT%H:%M:%SZ')"


def _columns() -> dict[str, tuple[str, str]]:
    """Return the phrase and the type of every column; those of what Farebox has nothing of are null."""
    month = "date_trunc('month', period)"
    is_token = " OR ".join(f"meter = {quoted(name)}" for name, each in METERS.items() if each.unit == "token")
    unit = f"CASE WHEN {is_token} THEN 'Tokens' ELSE 'Units' END"
    pricing_unit = f"CASE WHEN {is_token} THEN '1000000 Tokens' ELSE 'Units' END"
    millions = f"CASE WHEN {is_token} THEN 1000000 ELSE 1 END"
    # A price for a million is exact where the price for one is a whole number of femtodollars by its ``per``.
    price = f"CASE WHEN unit_femto * quantity = list_femto * per AND (unit_femto * {millions}) % per = 0 THEN {{}} END"
    list_price = price.format(_usd(f"unit_femto * {millions} // per"))
    quantity = f"CASE WHEN {is_token} THEN {_millionths('quantity')} ELSE quantity::VARCHAR END"
    period_end = "CASE WHEN hour_grain THEN period + INTERVAL 1 HOUR ELSE period + INTERVAL 1 DAY END"
    details = "to_json({'x_Model': used, 'x_ServiceTier': tier, 'x_Meter': meter})"
    billed = _usd("list_femto + contract_femto")
    words = "replace(meter, '_', ' ')"
    made: dict[str, tuple[str, str]] = {
        "BilledCost": (billed, _MONEY),
        "BillingPeriodEnd": (_moment(f"{month} + INTERVAL 1 MONTH"), _MOMENT),
        "BillingPeriodStart": (_moment(month), _MOMENT),
        "ChargeDescription": (f"used || ', ' || {words}", _TEXT),
        "ChargePeriodEnd": (_moment(period_end), _MOMENT),
        "ChargePeriodStart": (_moment("period"), _MOMENT),
        "ConsumedQuantity": ("quantity", "DECIMAL(38,0)"),
        "ConsumedUnit": (unit, _TEXT),
        "ContractedCost": (billed, _MONEY),
        "ContractedUnitPrice": (f"CASE WHEN contract_femto = 0 THEN {list_price} END", _MONEY),
        "EffectiveCost": (billed, _MONEY),
        "HostProviderName": ("rate_provider", _TEXT),
        "InvoiceIssuerName": ("rate_provider", _TEXT),
        "ListCost": (_usd("list_femto"), _MONEY),
        "ListUnitPrice": (list_price, _MONEY),
        "PricingQuantity": (quantity, "DECIMAL(38,6)"),
        "PricingUnit": (pricing_unit, _TEXT),
        "ProviderName": ("rate_provider", _TEXT),
        "PublisherName": ("rate_provider", _TEXT),
        "RegionId": ("nullif(used_region, '')", _TEXT),
        "RegionName": ("nullif(used_region, '')", _TEXT),
        "ResourceId": ("rate_provider || '/' || used", _TEXT),
        "ResourceName": ("used", _TEXT),
        "ServiceName": ("provider", _TEXT),
        "ServiceProviderName": ("rate_provider", _TEXT),
        "SkuId": ("rate_provider || '/' || used || '/' || meter", _TEXT),
        "SkuMeter": ("meter", _TEXT),
        "SkuPriceDetails": (details, _TEXT),
        "SkuPriceId": ("coalesce(rate, rate_provider || '/' || used || '/' || meter)", _TEXT),
        "SubAccountId": ("nullif(key_name, '')", _TEXT),
        "SubAccountName": ("nullif(key_name, '')", _TEXT),
        "SubAccountType": ("CASE WHEN key_name <> '' THEN 'Key' END", _TEXT),
        "Tags": ("to_json({'team': team, 'project': project})", _TEXT),
        "x_Attempts": ("attempts", "BIGINT"),
        "x_PriceBook": ("book", _TEXT),
        "x_ServiceTier": ("tier", _TEXT),
    }
    fixed = {name: (phrase, _TEXT) for name, phrase in _FIXED.items()}
    return dict(sorted({**made, **fixed, **dict.fromkeys(_ABSENT, (_EMPTY, _TEXT))}.items()))


def _millionths(phrase: str) -> str:
    return f"({phrase} // 1000000)::VARCHAR || '.' || lpad(({phrase} % 1000000)::VARCHAR, 6, '0')"
