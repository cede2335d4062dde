"""Where money could be saved, ranked by how much, each with its evidence and its remedy. Pure.

A saving is what the books show, at the prices that hold at the end of the window; it is a bound of what the remedy can
bring, not a promise. What cannot be put into money is no finding.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from farebox.books.looks import Looks, MoverRow, RepeatRow, TailRow, WasteRow
from farebox.books.rows import CostRow
from farebox.money import usd_text

# Femtodollars of one unit of a model's meter, or None where that is not known: provider, model, meter.
Rates = Callable[[str, str, str], int | None]
_LEAST_SHARE = 1000  # findings below a thousandth of the spend are left out
_LEAST_TAIL = 100  # answers, for a percentile to mean something
_WRITES = ("cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h")
_STANDING = frozenset({"provisioned", "hosting_time", "cache_storage", "file_storage", "session_time", "compute_time"})
_OUTCOMES = {
    "client_gone": "the client hung up",
    "truncated": "the provider broke off",
    "garbage": "the answer could not be read",
    "error": "the provider answered with an error",
    "lost": "the gateway died",
    "outpaced": "another attempt answered first",
    "cut": "the answer was cut at its cap",
    "unreachable": "nobody answered",
}


class SavingFound(msgspec.Struct, frozen=True):
    """Something that costs more than it must.

    Attributes:
        name: short, for machines.
        about: whom or what it concerns.
        saving_femto: what could be saved over the window at most, femtodollars.
        evidence: what the books show.
        remedy: what to do.
    """

    name: str
    about: str
    saving_femto: int
    evidence: str
    remedy: str


def find_savings(looks: Looks, rates: Rates) -> tuple[SavingFound, ...]:
    """Return the findings, what saves most first.

    Args:
        looks: what the books answered.
        rates: prices at the end of the window.
    """
    whole = sum(row.amount_femto for row in looks.costs)
    found = [
        *_missed_cache(looks.repeats, rates),
        *_idle_writes(looks.costs, rates),
        *_waste(looks.waste),
        *_long_answers(looks.tails, rates),
        *_standing(looks.costs),
    ]
    return tuple(
        sorted(
            (one for one in found if one.saving_femto * _LEAST_SHARE > whole),
            key=lambda one: (-one.saving_femto, one.name, one.about),
        )
    )


def top_movers(movers: Sequence[MoverRow], count: int = 10) -> tuple[MoverRow, ...]:
    """Return what changed most from the week before to the last."""
    return tuple(row for row in movers if row.before_femto != row.after_femto)[:count]


def _missed_cache(repeats: Sequence[RepeatRow], rates: Rates) -> Iterator[SavingFound]:
    for row in repeats:
        missed = row.again_tokens - row.read_tokens
        plain = rates(row.provider, row.model, "input")
        read = rates(row.provider, row.model, "cache_read")
        if missed <= 0 or plain is None or read is None or read >= plain:
            continue
        share = row.again_tokens / row.tokens
        yield SavingFound(
            "missed_cache",
            f"{row.provider}/{row.model}",
            missed * (plain - read),
            f"{share:.0%} of the input came again within 5 minutes, in prefixes of 1,024 tokens and more: "
            f"{row.again_tokens:,} tokens, of which {row.read_tokens:,} were read from a cache",
            "keep what repeats at the beginning of the prompt and mark it for caching; "
            "'farebox whatif --scheme cached=cache:5m' counts the writing, too",
        )


def _idle_writes(costs: Sequence[CostRow], rates: Rates) -> Iterator[SavingFound]:
    """Yield caches that cost more to write than reading from them saved."""
    for model in dict.fromkeys((row.provider, row.model) for row in costs):
        mine = {row.meter: row for row in costs if (row.provider, row.model) == model}
        plain = rates(*model, "input")
        writes = [mine[name] for name in _WRITES if name in mine]
        if plain is None or not writes:
            continue
        premium = sum(row.amount_femto - row.quantity * plain for row in writes)
        read = mine.get("cache_read")
        saved = read.quantity * plain - read.amount_femto if read is not None else 0
        if premium > saved:
            tokens = sum(row.quantity for row in writes)
            yield SavingFound(
                "idle_cache_writes",
                "/".join(model),
                premium - saved,
                f"writing {tokens:,} tokens to caches cost {usd_text(premium)} USD more than plain input, and reading "
                f"{0 if read is None else read.quantity:,} saved {usd_text(saved)}",
                "mark only prefixes that come again within the time they are kept, or for a shorter time",
            )


def _waste(waste: Sequence[WasteRow]) -> Iterator[SavingFound]:
    for row in waste:
        yield SavingFound(
            "paid_for_nothing",
            row.outcome,
            row.amount_femto,
            f"{row.attempts:,} attempt{' was' if row.attempts == 1 else 's were'} billed though "
            f"{_OUTCOMES.get(row.outcome, row.outcome)}, "
            f"such as {row.example}",
            "look at what they have in common: farebox calls --outcome " + row.outcome,
        )


def _long_answers(tails: Sequence[TailRow], rates: Rates) -> Iterator[SavingFound]:
    for row in tails:
        price = rates(row.provider, row.model, "output")
        if price is None or row.attempts < _LEAST_TAIL or not row.beyond_tokens:
            continue
        yield SavingFound(
            "long_answers",
            f"{row.provider}/{row.model}",
            row.beyond_tokens * price,
            f"half of the answers have up to {row.p50:,} tokens and 99 in 100 up to {row.p99:,}; {row.beyond:,} are "
            f"longer, up to {row.longest:,} ({row.example})",
            f"give max_tokens of about {row.p99 * 3 // 2:,}, and ask for short answers where long ones are not wanted",
        )


def _standing(costs: Sequence[CostRow]) -> Iterator[SavingFound]:
    """Yield what is paid for keeping something ready, whether it is used or not."""
    for row in costs:
        if row.meter in {
            "provisioned",
            "hosting_time",
            "cache_storage",
            "file_storage",
            "session_time",
            "compute_time",
        }:
            yield SavingFound(
                "standing_cost",
                f"{row.provider}/{row.model}",
                row.amount_femto,
                f"{row.meter} costs {usd_text(row.amount_femto)} USD whether it is used or not",
                "keep it only where what it replaces costs more",
            )
