"""Finds out which offers of different packages are of one model.

Those with the same id or name, in any case of letters, are. An id that only fits a pattern of a model is of that
model if it costs the same; if it does not, it may be another model whose id begins alike.
"""

import re
from collections.abc import Sequence

from farebox.prices.importing.clauses import GEOGRAPHIES
from farebox.prices.importing.gate import STALE, Group
from farebox.prices.importing.offers import Finding, Offer, conditions, meters_of, same_price, unique
from farebox.prices.match import fits

# What an id has beyond a pattern where it is only another release of the same model.
_RELEASE = re.compile(r"[-@:._]?(?:v?\d[\d.:v-]*)?[-@:]?(?:latest|default)?")


def group_offers(offers: Sequence[Offer], findings: list[Finding]) -> list[Group]:
    """Return offers by model, in the order in which the models are first offered.

    Args:
        offers: the package that leads first.
        findings: takes what could not be brought together.
    """
    grouping = _Grouping(findings)
    for offer in offers:
        if offer.lends:
            grouping.lend(offer)
        elif offers[0].package == offer.package:
            grouping.place(offer, grouping.by_name(offer))
        else:
            grouping.place_other(offer)
    return grouping.groups


class _Grouping:
    """The groups so far, by name and by pattern."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings: list[Finding] = findings
        self.groups: list[Group] = []
        self._named: dict[str, Group] = {}
        self._patterned: list[tuple[str, Group]] = []

    def by_name(self, offer: Offer) -> Group | None:
        """Return the group that has an offer's id or one of its names."""
        words = (word.lower() for word in (offer.id, *offer.names))
        return next((self._named[word] for word in words if word in self._named), None)

    def lend(self, offer: Offer) -> None:
        """Let a list of another provider confirm the model it is of, if there is one."""
        group = self.by_name(offer) or self._fitting(offer)[0]
        if group is not None:
            group.others.append(offer)

    def place_other(self, offer: Offer) -> None:
        """Place an offer of a package that does not lead."""
        group = self.by_name(offer)
        if group is None:
            fitting, pattern = self._fitting(offer)
            if fitting is not None and _costs_same(offer, fitting):
                fitting.others.append(offer)
                return
            if fitting is not None:
                said = {offer.package.name: offer.id, fitting.lead.package.name: fitting.lead.id}
                self.findings.append(Finding(offer.provider, offer.id, "", "not-like-its-pattern", said))
                if not _is_apart(offer, fitting, pattern):
                    return
                self._narrow(fitting, pattern)
        self.place(offer, group)

    def place(self, offer: Offer, group: Group | None) -> None:
        """Put an offer into the group that calls the model by one of its names, or into one of its own."""
        if group is None:
            group = Group(offer, [], list(offer.names))
            self.groups.append(group)
            self._patterned += [(pattern, group) for pattern in offer.patterns]
        elif group.lead.package == offer.package:
            said = {offer.package.name: group.lead.id}
            self.findings.append(Finding(offer.provider, offer.id, "", "double", said))
            return
        else:
            # Who calls the model by one of its names speaks before who only fits a pattern.
            group.others.insert(group.exact, offer)
            group.exact += 1
            group.names = unique([*group.names, *offer.names])
        for word in (group.lead.id, *group.names):
            self._named.setdefault(word.lower(), group)

    def _fitting(self, offer: Offer) -> tuple[Group | None, str]:
        """Return the group whose longest pattern fits an offer's id, and that pattern."""
        word = offer.id.lower()
        found = [
            (len(pattern), -number)
            for number, (pattern, _) in enumerate(self._patterned)
            if fits(pattern.lower(), word)
        ]
        if not found:
            return None, ""
        pattern, group = self._patterned[-max(found)[1]]
        return group, pattern

    def _narrow(self, group: Group, pattern: str) -> None:
        """Take a pattern that was a guess, and wrong, from its group."""
        if _is_guess(pattern):
            group.lead.patterns = [one for one in group.lead.patterns if one != pattern]
            self._patterned = [one for one in self._patterned if one[0] != pattern]


def _is_apart(offer: Offer, group: Group, pattern: str) -> bool:
    """Return whether an id that costs something else than what its pattern says is another model.

    It is not where only a date or a version goes beyond the pattern, nor on the word of data that is old.
    """
    if group.lead.package.day - offer.package.day > STALE:
        return False
    return _is_guess(pattern) or not _RELEASE.fullmatch(offer.id[len(pattern.rstrip("*")) :])


def _is_guess(pattern: str) -> bool:
    """Return whether a pattern only supposes that a price is the same in another geography."""
    return pattern.startswith(GEOGRAPHIES)


def _costs_same(offer: Offer, group: Group) -> bool:
    """Return whether no price of an offer's plain row differs from the group's."""
    rows = [row for row in offer.rows if conditions(row) == conditions({}) and "until" not in row]
    plain = [row for row in group.lead.rows if conditions(row) == conditions({}) and "until" not in row]
    if not rows or not plain:
        return not rows
    return all(
        same_price(rows[-1][meter], plain[-1][meter], meter) for meter in meters_of(rows[-1]) if meter in plain[-1]
    )
