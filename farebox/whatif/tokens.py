"""How many tokens the same text is for different models.

Ratios were measured on 1.4 MB of this project's documents, of its code and of a JSON document of OpenAI's, in equal
parts but for the size, with the vocabularies that the makers published (cl100k and o200k of OpenAI, that of Qwen 3.5).
Makers that publish no vocabulary are not in the table: their ratio is not known, and is never guessed.
"""

from fnmatch import fnmatchcase
from fractions import Fraction

# Tokens of the measured text.
_MEASURED = {"o200k": 353_727, "cl100k": 353_067, "qwen3.5": 387_180}
# The first that fits; ids are the price book's, without the provider.
_VOCABULARIES: tuple[tuple[str, str], ...] = (
    ("gpt-3.5*", "cl100k"),
    ("gpt-4o*", "o200k"),
    ("gpt-4.1*", "o200k"),
    ("gpt-4.5*", "o200k"),
    ("gpt-4*", "cl100k"),
    ("gpt-5*", "o200k"),
    ("chatgpt-4o*", "o200k"),
    ("o[1-9]*", "o200k"),
    ("gpt-oss*", "o200k"),
    ("*/gpt-oss*", "o200k"),
    ("text-embedding-3*", "cl100k"),
    ("text-embedding-ada*", "cl100k"),
    ("qwen*", "qwen3.5"),
    ("*/qwen*", "qwen3.5"),
)


def vocabulary_of(model: str) -> str | None:
    """Return the vocabulary that a model counts in, or None where it is not known."""
    name = model.lower()
    return next((vocabulary for glob, vocabulary in _VOCABULARIES if fnmatchcase(name, glob)), None)


def ratio_of(source: str, target: str) -> Fraction | None:
    """Return how many tokens of one model a token of another is, or None where that is not known."""
    if source == target:
        return Fraction(1)
    one, other = vocabulary_of(source), vocabulary_of(target)
    if one is None or other is None:
        return None
    return Fraction(_MEASURED[other], _MEASURED[one])
