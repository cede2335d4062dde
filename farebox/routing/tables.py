"""A model as its calls are planned: its targets with all that does not depend on the call. Pure."""

import sys
from collections.abc import Sequence

import msgspec

from farebox.config.models import Model, When
from farebox.prices.book import PriceBook
from farebox.route import Target
from farebox.routing.conditions import about_of
from farebox.routing.expect import Pricer, Rates
from farebox.routing.order import Option, number_of

_EVERYTHING = When()


class Table(msgspec.Struct, frozen=True):
    """A model as its calls are planned.

    Attributes:
        model: as configured.
        options: its targets.
        rates: theirs, in the same order.
        shadows: targets that get copies, with the share of the calls in percent.
        has_canaries: whether one of the targets is a canary.
        has_keys: whether the provider of one has several keys.
        has_priorities: whether some of the targets go before others.
        has_conditions: whether one of the targets has any.
        window: largest input that each of them is known to take, in tokens.
    """

    model: Model
    options: tuple[Option, ...]
    rates: Rates
    shadows: tuple[tuple[Option, float], ...]
    has_canaries: bool
    has_keys: bool
    has_priorities: bool
    has_conditions: bool
    window: int


def is_plain(model: Model) -> bool:
    """Whether the targets are tried as written, whoever asks."""
    return (
        model.strategy == "priority"
        and model.hedge is None
        and all(
            target.when == _EVERYTHING
            and not target.priority
            and not target.canary_percent
            and not target.shadow_percent
            for target in model.targets
        )
    )


def table_of(model: Model, targets: Sequence[Target], book: PriceBook) -> Table:
    """Return the table of a model."""
    options = [
        Option(
            target=target,
            name=(name := f"{target.provider.name}/{target.model}"),
            number=number_of(name),
            weight=written.weight,
            priority=written.priority,
            when=None if written.when == _EVERYTHING else written.when,
            grade=written.grade,
            canary_percent=written.canary_percent,
            pricer=Pricer(book, target),
            window=_window_of(book, target),
        )
        for target, written in zip(targets, model.targets, strict=True)
    ]
    percents = [written.shadow_percent for written in model.targets]
    usual = tuple(option for option, percent in zip(options, percents, strict=True) if not percent)
    return Table(
        model,
        usual,
        Rates([option.pricer for option in usual]),
        tuple((option, percent) for option, percent in zip(options, percents, strict=True) if percent),
        any(written.canary_percent for written in model.targets),
        any(target.siblings for target in targets),
        len({option.priority for option in usual}) > 1,
        any(option.when is not None for option in usual),
        min((option.window for option in usual), default=sys.maxsize),
    )


def _window_of(book: PriceBook, target: Target) -> int:
    about = about_of(book, target)
    return sys.maxsize if about is None or about.context_tokens is None else about.context_tokens
