"""A scheme: the prices under which traffic is looked at, and what would have been asked for instead.

A shape is everything about a request that decides its rates, but for its time, its size and what it used. Rules
change shapes, never quantities: the first rule that fits a shape applies, and no other.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec

from farebox.errors import ConfigError
from farebox.prices.book import PriceBook


class Shape(msgspec.Struct, frozen=True):
    """What decides the rates of a request beside its time, its size and what it used; "" where not said.

    Attributes:
        provider: id in the price book.
        asked: the model that was asked of the provider.
        answered: the model that the provider says it used.
        service_tier: as the provider's answer says.
        processing: ``batch`` where it went through a batch channel.
        speed: as the provider's answer says.
        region: as the provider's answer says, or of the endpoint.
        facts: other known facts, sorted by name.
    """

    provider: str
    asked: str = ""
    answered: str = ""
    service_tier: str = ""
    processing: str = ""
    speed: str = ""
    region: str = ""
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def model(self) -> str:
        """The model that was used as far as it is known: the one that answered, else the one asked for."""
        return self.answered or self.asked


MATCHED = ("provider", "model", "service_tier", "processing", "speed", "region")


class Rule(msgspec.Struct, frozen=True):
    """What some of the traffic would have been instead.

    Attributes:
        where: globs by the name of what they fit, see `MATCHED`; what is left out fits anything. The model is the
            one that answered, or the one asked for where the answer names none.
        to: new values by name, see `MATCHED`; "" takes the value away. A new provider is not told the tier, speed,
            region and facts of the old one, unless they are given here.
        facts: facts that are added, in place of those of the same name.
    """

    where: Mapping[str, str] = {}
    to: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        for words, name in ((self.where, "where"), (self.to, "to")):
            for word in words:
                if word not in MATCHED:
                    raise ConfigError(f"rule: {name}.{word} is not known; there are {', '.join(MATCHED)}")

    def fits(self, shape: Shape) -> bool:
        """Return whether all globs fit."""
        return all(fnmatchcase(getattr(shape, name), glob) for name, glob in self.where.items())

    def apply(self, shape: Shape) -> Shape:
        """Return the changed shape."""
        kept = shape
        if self.to.get("provider", shape.provider) != shape.provider:
            kept = msgspec.structs.replace(shape, service_tier="", speed="", region="", facts=())
        values = {name: value for name, value in self.to.items() if name != "model"}
        if "model" in self.to:
            values |= {"asked": self.to["model"], "answered": ""}
        facts = tuple(sorted({**dict(kept.facts), **self.facts}.items()))
        return msgspec.structs.replace(kept, **values, facts=facts)


class Scheme(msgspec.Struct, frozen=True):
    """The prices of a book for traffic as some rules would have had it.

    Attributes:
        name: for people; unique among the schemes that are priced together.
        book: the price book.
        rules: the first that fits a shape changes it; a shape that none fits stays as it is.
        folds: what units of a meter count as where a rule changed the shape and its new rates do not know the meter:
            the first of these that they know. Tokens written to a cache are plain input where nobody bills the writing.
        folds_all: whether that holds for shapes that no rule changed, too.
    """

    name: str
    book: PriceBook
    rules: tuple[Rule, ...] = ()
    folds: Mapping[str, tuple[str, ...]] = {}
    folds_all: bool = False

    def map_shape(self, shape: Shape) -> Shape:
        """Return what a shape is under this scheme."""
        for rule in self.rules:
            if rule.fits(shape):
                return rule.apply(shape)
        return shape
