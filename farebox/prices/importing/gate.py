"""Decides which prices go into the book: those on which two packages agree.

What only one package knows goes in with a note. Where they disagree, a price stays out and is put on the review list,
unless two of them agree against the rest or a rule written by hand says who is right. A package much older than the
newest can confirm a price but not contradict it, for it says what was true then.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from farebox.prices.arithmetic import fraction_of, parse_price
from farebox.prices.importing.offers import (
    Finding,
    Offer,
    Package,
    conditions,
    describe,
    holds_at,
    meters_of,
    midnight,
    same_price,
)
from farebox.prices.match import fits

ONE_SOURCE = "one source"
STALE = timedelta(days=60)
_DAY = timedelta(days=1)
# What is lost where a price is given by the second, or in units of its own, with few digits.
_ROUNDED = Decimal("0.0015")
_THOUSANDFOLD = (Decimal(500), Decimal(2000))
# An answer that costs less than this part of the prompt is a mistaken unit.
_SMALLEST_SHARE = Decimal("0.01")


class Group(msgspec.Struct):
    """What all packages say of one model.

    Attributes:
        lead: the offer whose rows are the model's: of the package that comes first.
        others: the other packages' offers.
        names: exact ids, with those that other packages add.
        exact: how many of the others call the model by one of its names; they come first.
    """

    lead: Offer
    others: list[Offer]
    names: list[str]
    exact: int = 0


class Verdict(msgspec.Struct):
    """A model after the gate.

    Attributes:
        model: the table of a card, or None where nothing was left.
        findings: for the review list.
        agreed: how many prices two packages agree on.
        single: how many only one knows.
        review: how many were left out.
    """

    model: dict[str, Any] | None
    findings: list[Finding] = []
    agreed: int = 0
    single: int = 0
    review: int = 0


class Gate:
    """Compares what packages say, at one instant."""

    def __init__(self, now: datetime, decisions: Sequence[Mapping[str, Any]] = ()) -> None:
        """Take the day of the import, and the ``[[decide]]`` rules of the provider."""
        self.moment: datetime = now
        self.decisions: Sequence[Mapping[str, Any]] = decisions

    def judge(self, group: Group) -> Verdict:
        """Return the model that a group's offers make."""
        lead = group.lead
        verdict = Verdict(None)
        rows: list[dict[str, Any]] = []
        broken: set[tuple[Any, ...]] = set()
        for row in [*lead.rows, *_further_rows(group, self.moment)]:
            kept = self._judge_row(row, group, verdict)
            if not kept or {"input", "output"} & set(row) - set(kept):
                broken.add(_family(row))
            else:
                rows.append(kept)
        rows = _whole(rows, broken)
        if not any(_is_standard(row) for row in rows):
            # Nothing is left for what they leave to the standard tier.
            rows = [row for row in rows if "rest" not in row]
        if rows:
            verdict.model = {"id": lead.id, "names": group.names, "patterns": lead.patterns, "prices": rows}
            about = _about(group)
            if about:
                verdict.model["about"] = about
        return verdict

    def _judge_row(self, row: dict[str, Any], group: Group, verdict: Verdict) -> dict[str, Any] | None:
        moment = _moment(row, self.moment)
        owner: Package = row.get("owner", group.lead.package)
        kept = {key: value for key, value in row.items() if key not in ("owner", "first")}
        if row.get("first"):
            # When a history begins is when its keeper first looked, not when the price began.
            kept.pop("from", None)
        opinions = _opinions(row, owner, group, moment)
        single: list[str] = []
        backers: list[set[str]] = []
        prices = meters_of(row)
        # A row that leaves the rest to another tier has said what it prices; else more meters may be known.
        others = [other for offer, other in opinions if "rest" not in row and _may_add(offer, group)]
        extra = [meter for other in others for meter in meters_of(other) if meter not in prices]
        for meter in [*prices, *dict.fromkeys(extra)]:
            price, by = self._judge_price(meter, row, owner, opinions, group, verdict)
            kept.pop(meter, None)
            if price is None:
                verdict.review += 1
                continue
            kept[meter] = price
            backers.append({name for name, _ in by})
            if len({witness for _, witness in by}) == 1:
                single.append(meter)
                verdict.single += 1
            else:
                verdict.agreed += 1
        if not backers:
            return None
        kept["by"] = set.intersection(*backers) or set.union(*backers)
        if single and "note" not in kept:
            kept["note"] = ONE_SOURCE if len(single) == len(backers) else f"{ONE_SOURCE}: {', '.join(single)}"
        return kept

    def _judge_price(
        self,
        meter: str,
        row: dict[str, Any],
        owner: Package,
        opinions: list[tuple[Offer, dict[str, Any]]],
        group: Group,
        verdict: Verdict,
    ) -> tuple[str | None, set[tuple[str, str]]]:
        """Return a price and the packages that say so, each with whose word it is; None: it has to be reviewed."""
        said: list[tuple[Package, str, bool]] = [(owner, row[meter], False)] if meter in row else []
        said += [(offer.package, other[meter], offer.lends) for offer, other in opinions if meter in other]
        what = "/".join(part for part in (describe(row), meter) if part)
        values = {package.name: price for package, price, _ in said}
        decided = self._decided(group.lead.id, meter, said)
        if decided is not None:
            return decided[1], {(p.name, p.witness) for p, price, _ in said if same_price(price, decided[1], meter)}
        camps = _camps(said, meter)
        first = camps[0]
        newest = max(package.day for package, _, _ in said)
        against = [
            camp for camp in camps[1:] if any(newest - package.day <= STALE and not lends for package, _, lends in camp)
        ]
        by = {(package.name, package.witness) for package, _, _ in first}
        witnesses = _witnesses(first)
        reason = self._reason(meter, row, first, against)
        if not reason:
            if first[0][2] and len(first) == 1:
                return None, set()
            if len(camps) > 1 and witnesses > 1:
                verdict.findings.append(Finding(group.lead.provider, group.lead.id, what, "outvoted", values))
            return first[0][1], by
        verdict.findings.append(Finding(group.lead.provider, group.lead.id, what, reason, values))
        return None, set()

    def _reason(
        self, meter: str, row: dict[str, Any], first: list[tuple[Package, str, bool]], against: list[Any]
    ) -> str:
        """Return why a price has to be reviewed, or ""."""
        price = _amount(first[0][1], meter)
        if meter == "output" and "input" in row and 0 < price < _amount(row["input"], "input") * _SMALLEST_SHARE:
            return "implausible"
        if not against or _witnesses(first) > 1:
            return ""
        low, high = sorted((price, _amount(against[0][0][1], meter)))
        return "thousandfold" if low and _THOUSANDFOLD[0] <= high / low <= _THOUSANDFOLD[1] else "disagree"

    def _decided(
        self, model: str, meter: str, said: list[tuple[Package, str, bool]]
    ) -> tuple[Package, str, bool] | None:
        for rule in self.decisions:
            if any(fits(pattern, model) for pattern in rule["models"]) and meter in rule.get("meters", (meter,)):
                for one in said:
                    if one[0].name == rule["take"]:
                        return one
        return None


def _moment(row: dict[str, Any], now: datetime) -> datetime:
    """Return an instant at which a row holds: today if it does, else a day within it."""
    if holds_at(row, now):
        return now
    begin: datetime = row.get("from", now)
    end: datetime = row.get("until", now)
    return begin if begin > now else end - _DAY


def _opinions(
    row: dict[str, Any], owner: Package, group: Group, moment: datetime
) -> list[tuple[Offer, dict[str, Any]]]:
    """Return what the other packages say under a row's conditions at an instant.

    A package that has the model under several names speaks by the one that agrees most, the first of equals.
    """
    found: dict[str, tuple[Offer, dict[str, Any]]] = {}
    wanted = conditions(row)
    for offer in [group.lead, *group.others]:
        package = offer.package
        if package.name == owner.name or (not package.dated and _is_past(row, package, moment)):
            continue
        for other in offer.rows:
            if conditions(other) == wanted and holds_at(other, moment):
                before = found.get(package.name)
                if before is None or _agreement(other, row) > _agreement(before[1], row):
                    found[package.name] = (offer, other)
    return list(found.values())


def _is_past(row: dict[str, Any], package: Package, moment: datetime) -> bool:
    """Return whether what a package says of its own day says nothing of a row's."""
    day = midnight(package.day)
    return moment < day - _DAY or ("from" in row and day < row["from"])


def _agreement(one: dict[str, Any], other: dict[str, Any]) -> int:
    return sum(1 for meter in meters_of(one) if meter in other and same_price(one[meter], other[meter], meter))


def _further_rows(group: Group, now: datetime) -> list[dict[str, Any]]:
    """Return the rows for which the lead has no price at all; a size is new only where the whole tier is."""
    tiers = {(conditions(row)[0], conditions(row)[2:]) for row in group.lead.rows}
    seen = {conditions(row) for row in group.lead.rows}
    rows: list[dict[str, Any]] = []
    for offer in group.others:
        if not _may_add(offer, group):
            continue
        for row in offer.rows:
            mark = conditions(row)
            if mark in seen or not holds_at(row, now):
                continue
            known = (mark[0], mark[2:]) in tiers
            if known and not _agreed_size(row, group, offer):
                continue
            seen.add(mark)
            plain = {key: value for key, value in row.items() if key not in ("from", "until")}
            rows.append({**plain, "owner": offer.package})
    return rows


def _may_add(offer: Offer, group: Group) -> bool:
    """Return whether a package may add what the others do not say: not if it is old, nor with another's list."""
    newest = max(one.package.day for one in (group.lead, *group.others))
    return not offer.lends and newest - offer.package.day <= STALE


def _agreed_size(row: dict[str, Any], group: Group, offer: Offer) -> bool:
    """Return whether a second package has the same size of input with the same price."""
    return any(
        conditions(other) == conditions(row) and other.get("input") == row.get("input")
        for one in group.others
        if one.package.name != offer.package.name and not one.lends
        for other in one.rows
    )


def _camps(said: list[tuple[Package, str, bool]], meter: str) -> list[list[tuple[Package, str, bool]]]:
    """Return the packages by what they say: the largest camp first; of equal ones that of the first speaker."""
    camps: list[list[tuple[Package, str, bool]]] = []
    for one in said:
        camp = next((camp for camp in camps if _is_near(camp[0][1], one[1], meter)), None)
        if camp is None:
            camps.append([one])
        elif len(one[1]) < len(camp[0][1]) and not same_price(camp[0][1], one[1], meter):
            # The shorter of two that differ by what was rounded away is what was published.
            camp.insert(0, one)
        else:
            camp.append(one)
    return sorted(camps, key=lambda camp: -_witnesses(camp))


def _witnesses(camp: list[tuple[Package, str, bool]]) -> int:
    return len({package.witness for package, _, _ in camp})


def _whole(rows: list[dict[str, Any]], broken: set[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return rows without those beside which a price of the prompt or the answer is missing.

    A row for large inputs that is left out would hand them to the row below it, at the wrong price.
    """
    return [row for row in rows if _family(row) not in broken]


def _is_standard(row: dict[str, Any]) -> bool:
    return row.get("tier", "standard") == "standard" and "until" not in row


def _family(row: dict[str, Any]) -> tuple[Any, ...]:
    tier, _, *others = conditions(row)
    return tier, *others, row.get("from"), row.get("until")


def _about(group: Group) -> dict[str, Any]:
    """Return what packages know of the model; of what two say, the first."""
    about: dict[str, Any] = {}
    for offer in sorted([group.lead, *group.others], key=lambda offer: offer.package.name == "genai-prices"):
        for key, value in offer.about.items():
            if key in ("inputs", "outputs", "supports"):
                about[key] = list(dict.fromkeys([*about.get(key, []), *value]))
            else:
                about.setdefault(key, value)
    return about


def _is_near(one: str, other: str, meter: str) -> bool:
    """Return whether two prices are the same but for what a conversion between units rounded away."""
    if same_price(one, other, meter):
        return True
    low, high = sorted((_amount(one, meter), _amount(other, meter)))
    return len(one) != len(other) and (high - low) <= high * _ROUNDED


def _amount(price: str, meter: str) -> Decimal:
    value = fraction_of(parse_price(price, meter))
    return Decimal(value.numerator) / Decimal(value.denominator)
