"""Usage of Mistral: chat completions and documents (OCR).

The shape of chat completions is OpenAI's. Audio that was read is counted in seconds (``prompt_audio_seconds``):
its tokens are in ``total_tokens`` only. Documents are billed by the page; an annotated page has a price of its
own that replaces the plain one. Rules: Mistral's API reference (``UsageInfo``, ``OCRUsageInfo``) and pricing page.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.amounts import parts_of, read_amount
from farebox.normalise.counts import need_count, read_count
from farebox.normalise.openai_chat import read_completion, read_prompt
from farebox.usage import Usage


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a chat completion's or an embedding's usage object.

    Raises:
        UsageViolation: where a count is missing, is no count, or a sum rule does not hold.
    """
    prompt = need_count(raw, "prompt_tokens")
    completion = read_count(raw, "completion_tokens")
    seconds = read_amount(raw, "prompt_audio_seconds") if raw.get("prompt_audio_seconds") != {} else None
    total = read_count(raw, "total_tokens")
    added = prompt + (completion or 0)
    if total is not None and (total < added if seconds else total != added):
        sign = ">=" if seconds else "=="
        raise UsageViolation(f"total_tokens {sign} prompt_tokens + completion_tokens", f"{total}, {added}")
    meters, unsplit = read_prompt(raw, prompt)
    if completion is not None:
        read_completion(raw, completion, meters)
    if seconds is not None:
        meters["audio_time"] = parts_of("audio_time", seconds, "prompt_audio_seconds")
    return Usage(meters, prompt, (), unsplit)


def normalise_ocr(raw: Mapping[str, Any]) -> Usage:
    """Return the pages of a ``usage_info`` object, all of them plain (see `annotate`).

    Raises:
        UsageViolation: where the count is missing or is no count, or more pages are annotated than were read.
    """
    pages = need_count(raw, "pages_processed")
    annotated = read_count(raw, "annotated_pages") or 0
    if annotated > pages:
        raise UsageViolation("annotated_pages <= pages_processed", f"{annotated} > {pages}")
    if annotated:
        return Usage({"page": pages - annotated, "annotated_page": annotated}, 0)
    return Usage({"page": pages}, 0)


def annotate(usage: Usage) -> Usage:
    """Return the usage of documents with all their pages annotated."""
    meters = dict(usage.meters)
    meters["annotated_page"] = meters.pop("page", 0) + meters.get("annotated_page", 0)
    return Usage(meters, usage.input_total, usage.prompts, usage.unsplit, usage.facts, usage.reported_femto)
