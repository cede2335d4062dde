"""Tags of a foreign log as a map of texts.

Most programs have lists of words: ``name:value`` becomes a tag with that value, a word alone the tag of that name
with the value ``true``. Of a name that is there twice the first counts.
"""

from collections.abc import Mapping

from farebox.imports.phrases import quoted
from farebox.imports.records import parsed

# The phrase for the tags of a list, where the steps of `list_steps` were taken.
LISTED_TAGS = (
    "CASE WHEN x_pairs IS NOT NULL THEN "
    "map_from_entries(list_filter(x_pairs, lambda pair, place: list_position(x_names, pair.key) = place)) END"
)


def list_steps(text: str) -> tuple[dict[str, str], ...]:
    """Return the steps (see `layout.Layout`) from a JSON list of words to the pairs of names and values in it.

    Args:
        text: phrase of a VARCHAR.
    """
    words = f"list_filter({parsed(text, ['VARCHAR'])}, lambda word: word <> '')"
    pairs = (
        f"list_transform({words}, lambda word: CASE WHEN strpos(word, ':') > 1 "
        "THEN {'key': word[:strpos(word, ':') - 1], 'value': ltrim(word[strpos(word, ':') + 1:])} "
        "ELSE {'key': word, 'value': 'true'} END)"
    )
    return (
        {"x_pairs": f"CASE WHEN starts_with({text}, '[') AND length({text}) > 2 THEN {pairs} END"},
        {"x_names": "list_transform(x_pairs, lambda pair: pair.key)"},
    )


def object_tags(text: str) -> str:
    """Return the phrase for the tags in a JSON object; members that are no words are their JSON.

    Args:
        text: phrase of a VARCHAR.
    """
    objects = parsed(text, "MAP(VARCHAR, VARCHAR)")
    return f"CASE WHEN starts_with({text}, '{{') AND length({text}) > 2 THEN {objects} END"


def given_tags(values: Mapping[str, str]) -> str:
    """Return the phrase for tags of which each has a phrase of its own; those that are NULL are left out."""
    pairs = ", ".join(f"{{'key': {quoted(name)}, 'value': {value}}}" for name, value in values.items())
    some = " OR ".join(f"{value} IS NOT NULL" for value in values.values())
    kept = f"list_filter([{pairs}], lambda pair: pair.value IS NOT NULL)"
    return f"CASE WHEN {some} THEN map_from_entries({kept}) END"
