"""What the name of a quantity says: what is counted, and in which unit. One table for all names.

A name is read from its end: a unit (``_hours``, ``_gb``, ``_tokens``), before it perhaps a second one
(``gb_days``, ``token_hours``), before that what it is of (``audio_seconds``, ``training_hours``). Sizes are
decimal: 1 GB is 1e9 bytes; ``gib`` is there for the others. Times are exact multiples of a second; months and
years are not, so they are no units.
"""

from fractions import Fraction
from functools import lru_cache
from typing import Literal

import msgspec

from farebox.usage import METERS

Role = Literal[
    "time", "size", "tokens", "units", "size_time", "token_time", "unit_time", "usd", "piece", "epochs", "evals"
]

SECONDS = {
    **dict.fromkeys(("ms", "millis", "milliseconds"), Fraction(1, 1000)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "duration"), Fraction(1)),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), Fraction(60)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), Fraction(3600)),
    **dict.fromkeys(("day", "days"), Fraction(86_400)),
    **dict.fromkeys(("week", "weeks"), Fraction(604_800)),
}
GIGABYTES = {
    **dict.fromkeys(("byte", "bytes"), Fraction(1, 10**9)),
    **dict.fromkeys(("kb", "kilobytes"), Fraction(1, 10**6)),
    **dict.fromkeys(("mb", "megabytes"), Fraction(1, 10**3)),
    **dict.fromkeys(("gb", "gbs", "gigabytes"), Fraction(1)),
    **dict.fromkeys(("tb", "tbs", "terabytes"), Fraction(10**3)),
    "kib": Fraction(2**10, 10**9),
    "mib": Fraction(2**20, 10**9),
    "gib": Fraction(2**30, 10**9),
    "tib": Fraction(2**40, 10**9),
}
_TOKENS = {
    **dict.fromkeys(("token", "tokens"), Fraction(1)),
    **dict.fromkeys(("mtok", "mtoks", "mtokens"), Fraction(10**6)),
}
_UNITS = frozenset(("ptu", "ptus", "gsu", "gsus", "unit", "units"))
_USD = frozenset(("usd", "dollars"))
_SCALES = {"million": Fraction(10**6), "millions": Fraction(10**6), "thousand": Fraction(1000), "k": Fraction(1000)}
# Words that say nothing about what is counted.
_EMPTY = frozenset(
    ("num", "n", "number", "of", "total", "billed", "billable", "used", "count", "processed", "elapsed")
) | {
    "wall",
    "clock",
    "length",
    "duration",
    "time",
    "monthly",
}
# Words that may stand behind a unit: `gb_out`, `cachedContentTokenCount`.
_TRAILING = frozenset(("out", "count", "transferred", "sent", "stored", "used", "total", "processed", "billed"))
# Amounts of money whose name does not say the currency; it is USD.
_BOUGHT = frozenset(("amount", "credits", "purchase", "purchase_amount", "credit_purchase", "top_up", "deposit"))
# Counted by the piece.
_PIECES = {
    **dict.fromkeys(("pages", "page", "document_pages", "input_pages", "ocr_pages"), "page"),
    **dict.fromkeys(("annotated_pages", "annotated_page"), "annotated_page"),
    **dict.fromkeys(("images", "image", "generated_images", "output_images", "images_generated"), "image_made"),
    **dict.fromkeys(("input_images", "images_read", "input_image"), "image_read"),
    **dict.fromkeys(("characters", "character", "chars", "input_characters", "text_characters"), "character"),
    **dict.fromkeys(("output_characters", "generated_characters"), "output_character"),
    **dict.fromkeys(("pixels", "output_pixels"), "pixel"),
    **dict.fromkeys(("requests", "request", "messages", "input_text_messages", "text_messages"), "request"),
    **dict.fromkeys(("search_units", "search_unit", "rerank_units", "rerank_searches"), "search_unit"),
    **dict.fromkeys(("classifications", "classification"), "classification"),
    **dict.fromkeys(("sessions", "code_sessions", "container_sessions", "containers"), "code_session"),
}
# What a time is of.
TIMED = {
    **dict.fromkeys(("audio", "input_audio", "prompt_audio", "transcription", "transcribed"), "audio_time"),
    **dict.fromkeys(("speech", "output_audio", "generated_audio", "tts", "audio_out"), "speech_time"),
    **dict.fromkeys(("video", "output_video", "generated_video"), "video_time"),
    **dict.fromkeys(("input_video", "video_read"), "video_read_time"),
    **dict.fromkeys(("training", "train", "fine_tuning", "fine_tune", "finetuning", "rft", "job"), "training_time"),
    **dict.fromkeys(("hosting", "hosted", "deployment", "deployed", "endpoint", "ft_hosting"), "hosting_time"),
    **dict.fromkeys(("container", "code", "code_execution", "code_container", "sandbox"), "code_time"),
    **dict.fromkeys(("session", "connection", "voice", "call", "live"), "session_time"),
    **dict.fromkeys(("gpu", "compute", "machine", "instance", "node", "replica", "dedicated", "model"), "compute_time"),
}


class Named(msgspec.Struct, frozen=True):
    """What a name says.

    Attributes:
        role: what kind of quantity it is.
        of: of what, in the words of the name; for a piece the meter.
        factor: into seconds, gigabytes, tokens, units, USD, or the product of two of them (GB-days, token-hours,
            unit-hours).
    """

    role: Role
    of: str = ""
    factor: Fraction = Fraction(1)


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in snake_case, camelCase or with dashes, in small letters."""
    spread = name if name.isupper() else "".join(f"_{one}" if one.isupper() else one for one in name)
    return tuple(word for word in spread.lower().replace("-", "_").replace(" ", "_").split("_") if word)


@lru_cache(maxsize=4096)
def read_name(name: str) -> Named | None:
    """Return what a name says, or None where it is no known quantity."""
    words = words_of(name)
    if words[-2:] == ("per", "month"):  # the total of a month
        words = words[:-2]
    if not words or "per" in words:  # a speed or a price, not a quantity
        return None
    if "_".join(words) in METERS:  # a meter's own name, in its unit
        return Named("piece", "_".join(words))
    whole = "_".join(word for word in words if word not in _EMPTY)
    if whole in _PIECES or words == ("n",):
        return Named("piece", _PIECES.get(whole, "image_made"))
    if whole in _BOUGHT:
        return Named("usd")
    if words[-1] in {"epochs", "epoch"}:
        return Named("epochs")
    if words[-1] in {"evals", "eval", "evaluations"}:
        return Named("evals")
    end = len(words)
    while end and words[end - 1] in _TRAILING:
        end -= 1
    return _read_unit((*words[end:], *words[:end])) if end else None


def known_names() -> str:
    """Return in words which names there are, one for each meter, for errors."""
    pieces = [name for name, meter in _PIECES.items() if next(key for key in _PIECES if _PIECES[key] == meter) == name]
    things = [name for name, meter in TIMED.items() if next(key for key in TIMED if TIMED[key] == meter) == name]
    return (
        f"tokens as the provider counts them; {', '.join(pieces)}; _seconds, _minutes, _hours or _days of "
        f"{', '.join(things)}; training_file_tokens with n_epochs; trained_tokens; validation_tokens with n_evals; "
        "gb, tb or bytes, alone or with days or hours; cached_tokens with hours; ptu or units with hours; "
        "reserved_ptu with deployed_ptu; gb_days, token_hours, ptu_hours; purchase_usd"
    )


def _read_unit(words: tuple[str, ...]) -> Named | None:
    *rest, last = words
    if last in SECONDS:
        seconds = SECONDS[last]
        before = rest[-1] if rest else ""
        if before in GIGABYTES:
            return _named("size_time", rest[:-1], GIGABYTES[before] * seconds / 86_400)
        if before in _TOKENS:
            return _named("token_time", rest[:-1], _TOKENS[before] * seconds / 3600)
        if before in _UNITS:
            return _named("unit_time", rest[:-1], seconds / 3600)
        return _named("time", rest, seconds)
    if last in GIGABYTES:
        return _named("size", rest, GIGABYTES[last])
    if last in _TOKENS:
        return _named("tokens", rest, _TOKENS[last])
    if last in _UNITS:
        return _named("units", rest, Fraction(1))
    if last in _USD:
        return _named("usd", rest, Fraction(1))
    return None


def _named(role: Role, rest: "list[str] | tuple[str, ...]", factor: Fraction) -> Named:
    for word in rest:
        factor *= _SCALES.get(word, 1)
    return Named(role, "_".join(word for word in rest if word not in _EMPTY and word not in _SCALES), factor)
