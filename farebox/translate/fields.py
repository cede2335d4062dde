"""What becomes of each field of a request: the tables, and the one function that enforces them.

Every object of a request is checked against a table before it is read. A field that no table names is refused
by its name, so nothing is ever dropped silently: what a newer client sends is either known here or an error.
"""

from collections.abc import Mapping
from typing import Any, Literal, NoReturn

import msgspec

from farebox.errors import BadRequest, Untranslatable

Fate = Literal["translated", "no effect", "only", "refused"]


class Field(msgspec.Struct, frozen=True):
    """The fate of one field.

    Attributes:
        fate: ``translated``; ``no effect`` (accepted, because the answer is the same without it); ``only``
            (accepted when it has one of a few values that ask for nothing); ``refused``.
        note: where it goes, why it has no effect, or the remedy; shown to the caller when it is refused.
        accepts: the values of ``only``.
    """

    fate: Fate
    note: str
    accepts: tuple[Any, ...] = ()


Fields = Mapping[str, Field]


def to(note: str) -> Field:
    """Return the fate of a field that is translated; the note says into what."""
    return Field("translated", note)


def moot(note: str) -> Field:
    """Return the fate of a field without effect on the answer; the note gives the reason."""
    return Field("no effect", note)


def only(accepts: tuple[Any, ...], note: str) -> Field:
    """Return the fate of a field that is accepted with these values only."""
    return Field("only", note, accepts)


def never(note: str) -> Field:
    """Return the fate of a field that is always refused; the note gives the remedy."""
    return Field("refused", note)


def refuse(where: str, why: str) -> NoReturn:
    """Refuse a field by its path.

    Raises:
        Untranslatable: always.
    """
    raise Untranslatable(f"{where}: {why}", param=where)


def check(given: dict[str, Any], fields: Fields, where: str = "") -> None:
    """Refuse the fields that cannot be expressed; null is the same as absent.

    Args:
        given: an object of the request.
        fields: the fates of its fields.
        where: the path of the object, empty for the request itself.

    Raises:
        Untranslatable: naming the field and the remedy.
    """
    for name, value in given.items():
        if value is None:
            continue
        field = fields.get(name)
        if field is None:
            refuse(
                _path(where, name), "this field is unknown to the translation to the provider's dialect; leave it out"
            )
        if field.fate == "only":
            if value not in field.accepts:
                refuse(_path(where, name), field.note)
        elif field.fate == "refused":
            refuse(_path(where, name), field.note)


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def text_of(value: Any, where: str) -> str:
    """Return a string field.

    Raises:
        BadRequest: it is something else.
    """
    if isinstance(value, str):
        return value
    raise BadRequest(f"{where}: must be a string", param=where)


def list_of(value: Any, where: str) -> list[Any]:
    """Return an array field.

    Raises:
        BadRequest: it is something else.
    """
    if isinstance(value, list):
        return value
    raise BadRequest(f"{where}: must be an array", param=where)


def object_of(value: Any, where: str) -> dict[str, Any]:
    """Return an object field.

    Raises:
        BadRequest: it is something else.
    """
    if isinstance(value, dict):
        return value
    raise BadRequest(f"{where}: must be an object", param=where)


def number_of(value: Any, where: str) -> float:
    """Return a number field.

    Raises:
        BadRequest: it is something else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise BadRequest(f"{where}: must be a number", param=where)


def count_of(value: Any, where: str) -> int:
    """Return a positive integer field.

    Raises:
        BadRequest: it is something else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise BadRequest(f"{where}: must be a positive integer", param=where)
