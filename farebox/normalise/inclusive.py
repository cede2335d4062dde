"""Input and output counts that include what was cached, written, read or made in other modalities.

Several APIs count like this and differ in the names of the totals only. Here a total is taken apart into disjoint
meters, and every sum rule between the parts is checked. The rules are those of OpenAI's API description
(``CompletionUsage``, ``ResponseUsage``, ``RealtimeResponseUsage``, ``ImagesUsage``) and its prompt caching guide.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.counts import read_count, read_details


def split_input(
    details: Mapping[str, Any], total: int, cached: int | None, name: str, *, strict: bool = False
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the input meters, and the names of those that could not be told apart from the cached tokens.

    Args:
        details: the object that breaks the total down.
        total: all input tokens.
        cached: how many of them were read from a cache, or None where the answer does not say.
        name: of the total, for the errors.
        strict: whether the modalities, where text is among them, add up to the total.

    Raises:
        UsageViolation: where a count is no count, or a sum rule does not hold.
    """
    writes = read_writes(details)
    covered = (cached or 0) + (sum(writes.values()) if writes else 0)
    if covered > total:
        raise UsageViolation(f"cached_tokens + cache_write_tokens <= {name}", f"{covered} > {total}")
    meters = {"input": total - covered}
    if cached is not None:
        meters["cache_read"] = cached
    meters.update(writes)
    audio = read_count(details, "audio_tokens")
    image = read_count(details, "image_tokens")
    video = read_count(details, "video_tokens")
    if not (audio or image or video) and not strict:  # the usual case, and the fast one
        if audio is not None:
            meters["input_audio"] = 0
        if image is not None:
            meters["input_image"] = 0
        return meters, ()
    given = {"audio": audio, "image": image, "video": video}
    modalities = {modality: count for modality, count in given.items() if count is not None}
    text = read_count(details, "text_tokens")
    named = (text or 0) + sum(modalities.values())
    if named > total or (strict and text is not None and named != total):
        sign, broken = ("==", "!=") if strict else ("<=", ">")
        raise UsageViolation(f"text + audio + image tokens {sign} {name}", f"{named} {broken} {total}")
    return meters, _move_modalities(details, modalities, covered, meters)


def read_writes(details: Mapping[str, Any]) -> dict[str, int]:
    """Return the tokens written to the cache by the time they are kept: 30 minutes unless the answer says."""
    written = read_count(details, "cache_write_tokens")
    by_ttl = read_details(details, "cache_write_tokens_details")
    if by_ttl is None:
        return {} if written is None else {"cache_write_30m": written}
    short = read_count(by_ttl, "ttl_30m_tokens") or 0
    long = read_count(by_ttl, "ttl_12h_tokens") or 0
    if written is not None and short + long != written:
        raise UsageViolation("ttl_30m_tokens + ttl_12h_tokens == cache_write_tokens", f"{short} + {long} != {written}")
    return {"cache_write_30m": short, "cache_write_12h": long}


def split_output(details: Mapping[str, Any], total: int, name: str, meters: dict[str, int]) -> None:
    """Add the output meters: text, reasoning, audio, images, video.

    Args:
        details: the object that breaks the total down.
        total: all output tokens; both kinds of prediction tokens are inside.
        name: of the total, for the errors.
        meters: to which they are added.

    Raises:
        UsageViolation: where a count is no count, or a sum rule does not hold.
    """
    reasoning = read_count(details, "reasoning_tokens")
    audio = read_count(details, "audio_tokens")
    image = read_count(details, "image_tokens")
    video = read_count(details, "video_tokens")
    accepted = read_count(details, "accepted_prediction_tokens") or 0
    rejected = read_count(details, "rejected_prediction_tokens") or 0
    if accepted + rejected > total:
        raise UsageViolation(f"accepted + rejected prediction tokens <= {name}", f"{accepted} + {rejected} > {total}")
    rest = total - (reasoning or 0) - (audio or 0) - (image or 0) - (video or 0)
    if rest < 0:
        raise UsageViolation(
            f"reasoning + audio + image tokens <= {name}",
            f"{reasoning or 0} + {audio or 0} + {(image or 0) + (video or 0)} > {total}",
        )
    meters["output"] = rest
    if reasoning is not None:
        meters["reasoning"] = reasoning
    if audio is not None:
        meters["output_audio"] = audio
    if image is not None:
        meters["output_image"] = image
    if video is not None:
        meters["output_video"] = video


def _move_modalities(
    details: Mapping[str, Any], modalities: dict[str, int], covered: int, meters: dict[str, int]
) -> tuple[str, ...]:
    """Move tokens that are not text out of the text meters, as far as the answer tells them apart."""
    if not covered or not any(modalities.values()):
        for name, count in modalities.items():
            meters[f"input_{name}"] = count
            meters["input"] -= count
        return ()
    cached_by = read_details(details, "cached_tokens_details")
    if cached_by is None or covered != meters.get("cache_read"):
        # Some of these tokens were read from or written to the cache, and the answer does not say how many.
        # They stay inside the text meters; the price engine takes that only where the prices are the same.
        return tuple(f"input_{name}" for name, count in modalities.items() if count)
    _split_cached(cached_by, modalities, covered, meters)
    return ()


def _split_cached(
    cached_by: Mapping[str, Any], modalities: dict[str, int], cached: int, meters: dict[str, int]
) -> None:
    """Split the cached tokens by modality as ``cached_tokens_details`` says."""
    rest = cached
    for name, count in modalities.items():
        part = read_count(cached_by, f"{name}_tokens") or 0
        if part > count:
            raise UsageViolation(f"cached {name}_tokens <= {name}_tokens", f"{part} > {count}")
        meters[f"input_{name}"] = count - part
        meters[f"cache_read_{name}"] = part
        meters["input"] -= count - part
        rest -= part
    text = read_count(cached_by, "text_tokens")
    if rest < 0 or meters["input"] < 0 or (text is not None and text != rest):
        raise UsageViolation("cached_tokens_details add up to cached_tokens", f"{dict(cached_by)!r:.120}")
    meters["cache_read"] = rest
