"""Usage of OpenAI responses, and of the media APIs that count tokens in the same words.

The shape: ``input_tokens`` includes cached, written, audio and image tokens, ``output_tokens`` includes reasoning,
audio and images; the details break them down (see `normalise.inclusive`). Realtime and transcriptions call the
details ``input_token_details`` and ``output_token_details``. The rules are those of OpenAI's API description:
``ResponseUsage``, ``ImagesUsage``, ``RealtimeResponseUsage``, ``TranscriptTextUsageTokens`` and ``ToolUsage``.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.amounts import exact, parts_of
from farebox.normalise.counts import need_count, read_count, read_details
from farebox.normalise.inclusive import split_input, split_output
from farebox.normalise.server_tools import read_tools
from farebox.usage import Usage


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a response's usage object.

    Searches that ``tool_usage`` counts are added where it is inside the object.

    Raises:
        UsageViolation: where a count is missing, is no count, a sum rule does not hold, or images were made by
            another model on the way.
    """
    total, result = read_totals(raw)
    details = read_details(raw, "input_tokens_details")
    meters: dict[str, int] = {"input": total}
    unsplit: tuple[str, ...] = ()
    if details is not None:
        meters, unsplit = split_input(details, total, read_count(details, "cached_tokens"), "input_tokens")
    details = read_details(raw, "output_tokens_details")
    if details is None:
        meters["output"] = result
    else:
        split_output(details, result, "output_tokens", meters)
    tools = read_details(raw, "tool_usage")
    if tools is not None:
        _read_tools(tools, meters)
    return Usage(meters, total, (), unsplit)


def normalise_image(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of an image's usage object: the output is an image unless the details say.

    Raises:
        UsageViolation: where a count is missing, is no count, or a sum rule does not hold.
    """
    total, result = read_totals(raw)
    meters, unsplit = _split_strictly(read_details(raw, "input_tokens_details"), total)
    details = read_details(raw, "output_tokens_details")
    if details is None:
        meters["output_image"] = result
    else:
        _split_result(details, result, meters)
    return Usage(meters, total, (), unsplit)


def normalise_realtime(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a realtime response's or a transcription's usage object.

    A transcription that is billed by its length says ``seconds`` and no tokens.

    Raises:
        UsageViolation: where a count is missing, is no count, or a sum rule does not hold.
    """
    if "seconds" in raw and "input_tokens" not in raw:
        return Usage({"audio_time": parts_of("audio_time", exact(raw["seconds"], "seconds"), "seconds")}, 0)
    total, result = read_totals(raw)
    meters, unsplit = _split_strictly(_either(raw, "input_token_details", "input_tokens_details"), total)
    details = _either(raw, "output_token_details", "output_tokens_details")
    if details is None:
        meters["output"] = result
    else:
        _split_result(details, result, meters)
    return Usage(meters, total, (), unsplit)


def read_totals(raw: Mapping[str, Any]) -> tuple[int, int]:
    """Return all input and all output tokens.

    Raises:
        UsageViolation: where one is missing, is no count, or they do not add up to ``total_tokens``.
    """
    total_input = need_count(raw, "input_tokens")
    total_output = need_count(raw, "output_tokens")
    total = read_count(raw, "total_tokens")
    if total is not None and total != total_input + total_output:
        raise UsageViolation(
            "total_tokens == input_tokens + output_tokens", f"{total} != {total_input} + {total_output}"
        )
    return total_input, total_output


def _split_strictly(details: Mapping[str, Any] | None, total: int) -> tuple[dict[str, int], tuple[str, ...]]:
    if details is None:
        return {"input": total}, ()
    return split_input(details, total, read_count(details, "cached_tokens"), "input_tokens", strict=True)


def _split_result(details: Mapping[str, Any], result: int, meters: dict[str, int]) -> None:
    """Split an output whose text is counted too, so that the parts must fit into the total."""
    parts = [read_count(details, f"{name}_tokens") or 0 for name in ("text", "audio", "image")]
    if sum(parts) > result:
        raise UsageViolation("text + audio + image tokens <= output_tokens", f"{sum(parts)} > {result}")
    split_output(details, result, "output_tokens", meters)


def _either(raw: Mapping[str, Any], first: str, second: str) -> Mapping[str, Any] | None:
    found = read_details(raw, first)
    return read_details(raw, second) if found is None else found


def _read_tools(tools: Mapping[str, Any], meters: dict[str, int]) -> None:
    images = tools.get("image_gen")
    if isinstance(images, Mapping) and read_count(images, "total_tokens"):
        # Another model's tokens: they are a usage of their own, of the images API's shape.
        raise UsageViolation("every token is billed at the answering model", "tool_usage.image_gen has tokens")
    meters.update(read_tools({key: used for key, used in tools.items() if key != "image_gen"}, "tool_usage", "openai"))
