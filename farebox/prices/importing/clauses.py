"""Turns the match clauses of genai-prices into exact ids and the patterns of a rate card.

A clause knows more than a pattern can say (parts within an id, look-aheads); what is made of it here matches less
than the clause, never more.
"""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

_ALTERNATIVES = re.compile(r"\[([^\]]+)\]")
_DIGITS = re.compile(r"\\d\{(\d+)\}|\[0-9\]\{(\d+)\}")
_GROUP = re.compile(r"\(\?:([^()|]*(?:\|[^()|]*)*)\)(\?)?")
_ODD = set("\\()+?|^$*{}[]")
# How ids go on where only their beginning is known and not everything that begins so is meant.
_TAILS = ("-preview", "-latest", "-preview-##-##", "-preview-##-####", "-exp-##-##", "-###", "-########")
# Bedrock's ids of cross-region profiles begin with one of these.
GEOGRAPHIES = ("us.", "eu.", "apac.", "jp.", "au.", "ca.", "us-gov.", "global.")


def ids_of(match: Any, provider: str) -> tuple[list[str], list[str], list[str]]:
    """Return the names and patterns of a match clause, and what could not be said with either."""
    names: list[str] = []
    patterns: list[str] = []
    lost: list[str] = []
    for kind, text, narrowed in _clauses(match):
        if kind == "equals":
            names.append(text)
        elif kind == "starts_with" and not narrowed:
            patterns.append(f"{text}*")
        elif kind == "starts_with":
            names.append(text)
            patterns += [f"{text}{tail}" for tail in _TAILS if match.is_match(_example(f"{text}{tail}"))]
        elif kind == "contains" and not narrowed:
            patterns += [f"{before}{text}*" for before in _geographies(text, provider)]
        elif kind in {"contains", "ends_with"}:
            names.append(text.lstrip("/-:"))
        elif (found := patterns_from_regex(text)) is None:
            lost.append(f"regex {text!r}")
        else:
            (patterns if any("#" in one or "*" in one for one in found) else names).extend(found)
    good = [name for name in dict.fromkeys(names) if match.is_match(name)]
    return sorted(good), sorted(set(patterns)), lost


def patterns_from_regex(regex: str) -> list[str] | None:
    """Return the patterns that say what a regular expression of ids says, or None where they cannot."""
    if not regex.startswith("^"):
        return None
    text = regex.removeprefix("^")
    rest = "" if text.endswith("$") else "*"
    text = _DIGITS.sub(lambda found: "#" * int(found[1] or found[2]), text.removesuffix("$"))
    text = text.replace("\\.", ".").replace("\\-", "-").replace("\\d", "#").replace("\\/", "/")
    choices: list[list[str]] = []

    def keep(options: list[str]) -> str:
        choices.append(options)
        return "\0"

    blank = text
    while found := _GROUP.search(blank):
        blank = (
            blank[: found.start()] + keep([*found[1].split("|"), *([""] if found[2] else [])]) + blank[found.end() :]
        )
        if len(choices) > 1 and blank.count("\0") != len(choices):
            return None
    if choices and _ALTERNATIVES.search(blank):
        return None
    while found := _ALTERNATIVES.search(blank):
        blank = blank[: found.start()] + keep(list(found[1])) + blank[found.end() :]
    if set(blank) & _ODD:
        return None
    filled: list[str] = []
    for letters in product(*choices):
        chosen = iter(letters)
        filled.append("".join(next(chosen) if letter == "\0" else letter for letter in blank) + rest)
    return [one for one in filled if not set(one.removesuffix("*")) & _ODD] or None


def _clauses(match: Any, *, narrowed: bool = False) -> Iterator[tuple[str, str, bool]]:
    for kind in ("equals", "starts_with", "contains", "ends_with"):
        text = getattr(match, kind, None)
        if text is not None:
            yield kind, text, narrowed
    regex = getattr(match, "regex", None)
    if regex is not None and not (narrowed and "(?!" in regex):
        yield "regex", regex, narrowed
    for clause in getattr(match, "or_", None) or ():
        yield from _clauses(clause, narrowed=narrowed)
    for clause in getattr(match, "and_", None) or ():
        yield from _clauses(clause, narrowed=True)


def _example(pattern: str) -> str:
    return pattern.replace("#", "1")


def _geographies(text: str, provider: str) -> tuple[str, ...]:
    if provider != "aws" or text.startswith(GEOGRAPHIES):
        return ("",)
    return ("", *GEOGRAPHIES)
