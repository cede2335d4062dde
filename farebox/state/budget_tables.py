"""Budgets as people write them, in the configuration or on a command line, as `Budget` values."""

from datetime import UTC, datetime

from farebox.budgets.account import read_account
from farebox.budgets.plan import UNITS, Budget, Unit
from farebox.budgets.window import read_window
from farebox.config.tables import BudgetTable, Config
from farebox.errors import ConfigError
from farebox.money import FEMTO_PER_USD, femto_from_usd
from farebox.prices.book import PriceBook
from farebox.prices.rates import Exchange


def budgets_of(config: Config, book: PriceBook, now_ns: int) -> list[Budget]:
    """Return the budgets of a configuration.

    Raises:
        ConfigError: naming the table, the key and the remedy.
    """
    budgets = []
    for index, table in enumerate(config.budgets):
        try:
            budgets.append(read_budget(table, book, now_ns))
        except ConfigError as error:
            raise ConfigError(f"budgets[{index}] ({table.account}): {error}") from None
    return budgets


def read_budget(table: BudgetTable, book: PriceBook, now_ns: int) -> Budget:
    """Return the budget that a table means.

    Args:
        table: as written.
        book: whose exchange rates apply.
        now_ns: whose rate of a currency applies, nanoseconds since the epoch.

    Raises:
        ConfigError: naming the key.
    """
    account = read_account(table.account)
    unit = _read_unit(table.unit)
    window = read_window("lifetime" if unit == "concurrency" else table.window, table.zone)
    stated = ""
    if unit == "usd":
        if table.amount is None or table.limit is not None:
            raise ConfigError("amount: how much money it is, such as '250.00'; limit is for other units")
        limit, stated = read_amount(table.amount, table.currency, book, now_ns)
        call_limit = None if table.per_call is None else read_amount(table.per_call, table.currency, book, now_ns)[0]
    else:
        if table.limit is None or table.amount is not None:
            raise ConfigError(f"limit: how many {unit} it is; amount is for money")
        limit, call_limit = table.limit, _read_count(table.per_call)
    return Budget(
        id="",
        account=account,
        unit=unit,
        window=window,
        limit=limit,
        hard=not table.soft,
        alerts=tuple(sorted(set(table.alerts))),
        source="config",
        call_limit=call_limit,
        stated=stated,
    )


def read_amount(amount: str | int, currency: str, book: PriceBook, now_ns: int) -> tuple[int, str]:
    """Return an amount in femtodollars, and how it was stated where that was another currency than USD.

    Raises:
        ConfigError: where it is no amount, or the currency has no rate.
    """
    if currency == "USD":
        return _read_usd(amount), ""
    known = [one for one in book.exchange if one.currency == currency and one.from_ns <= now_ns]
    if not known:
        names = ", ".join(sorted({"USD"} | {one.currency for one in book.exchange}))
        raise ConfigError(f"currency: {currency!r} has no rate; there are {names}, and [[exchange]] in your own prices")
    return _convert(amount, known[-1])


def _convert(amount: str | int, rate: Exchange) -> tuple[int, str]:
    # Rounded down: a cap in another currency is not widened by its conversion.
    femto = _read_usd(amount) * femto_from_usd(rate.usd) // FEMTO_PER_USD
    day = datetime.fromtimestamp(rate.from_ns // 10**9, UTC).date()
    return femto, f"{amount} {rate.currency} at {rate.usd} USD of {day}"


def _read_usd(amount: str | int) -> int:
    try:
        femto = femto_from_usd(amount)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"amount: {error}") from None
    if femto < 0:
        raise ConfigError(f"amount: {amount} is negative")
    return femto


def _read_unit(text: str) -> Unit:
    for unit in UNITS:
        if text == unit:
            return unit
    raise ConfigError(f"unit: {text!r} is none; there are {', '.join(UNITS)}")


def _read_count(value: str | int | None) -> int | None:
    if value is None or isinstance(value, int):
        return value
    if not value.isdecimal():
        raise ConfigError(f"per_call: {value!r} is no whole number")
    return int(value)
