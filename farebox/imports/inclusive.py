"""Totals that include their parts become disjoint meters, by the rules of `normalise.inclusive`, in SQL.

Most logs count like OpenAI: the total of the input includes what was read from and written to a cache, and tokens of
other modalities; that of the output includes reasoning. Parts that are larger than their total are refused.
"""

from collections.abc import Mapping

import msgspec

from farebox.imports.phrases import added, or_zero, quoted, told


class Split(msgspec.Struct, frozen=True):
    """A total taken apart.

    Attributes:
        meters: phrase by meter.
        rules: as in `layout.Layout`.
    """

    meters: dict[str, str]
    rules: tuple[tuple[str, str], ...]


def split_input(
    total: str, label: str, cached: Mapping[str, str], others: Mapping[str, str], *, apart: bool = False
) -> Split:
    """Return the meters of an input.

    Args:
        total: phrase of all input tokens.
        label: what the source calls them.
        cached: phrases by meter of what was read from or written to a cache, of any modality.
        others: phrases by meter of tokens of other modalities.
        apart: whether cached tokens are not among the others. Else, where a record has both, it does not say how many
            are both, and is refused.
    """
    covered, other = added(cached.values()), added(others.values())
    rules = [
        (f"{total} IS NULL AND {covered} + {other} > 0", quoted(f"{label} is missing, and its parts are there")),
    ]
    if others and not apart:
        said = f"of {label} some are not text and some were cached, and the record does not say how many are both"
        rules.append((f"{covered} > 0 AND {other} > 0", quoted(said)))
    rules.append(_larger(total, label, f"{covered} + {other}", "cached, written and other tokens"))
    meters = {"input": f"{total} - {covered} - {other}", **cached, **others}
    return Split(meters, tuple(rules))


def split_output(total: str, label: str, parts: Mapping[str, str]) -> Split:
    """Return the meters of an output: its parts, reasoning as a rule, and the rest as text.

    Args:
        total: phrase of all output tokens.
        label: what the source calls them.
        parts: phrases by meter.
    """
    part = added(parts.values())
    rules = (
        (f"{total} IS NULL AND {part} > 0", quoted(f"{label} is missing, and its parts are there")),
        _larger(total, label, part, "reasoning and other tokens"),
    )
    return Split({"output": f"{total} - {part}", **parts}, rules)


def _larger(total: str, label: str, parts: str, what: str) -> tuple[str, str]:
    said = told(f"{what} are ", f"{{{parts}}}", f", more than {label}: ", f"{{{total}}}")
    return f"{parts} > {or_zero(total)}", said
