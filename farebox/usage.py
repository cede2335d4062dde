"""What was used: a vector of disjoint meters.

Disjoint means that no unit is counted in two meters: the input meters add up to the whole input. A meter
is what a provider can put a price on; a meter that is absent was not reported, which is not the same as 0.
Quantities are whole numbers of a meter's smallest part, so that no quantity is ever a float: tokens are counted
as they are, time in milliseconds, storage and traffic in millionths of a gigabyte.
"""

from typing import Literal

import msgspec

# input, output: tokens of a model's prompt and answer. fee: by the call. media: by the second, page, image or
# character. period: what is held or kept running over time. money: a share of an amount of money.
Family = Literal["input", "output", "fee", "media", "period", "money"]


class Meter(msgspec.Struct, frozen=True):
    """One thing that can be counted and priced.

    Attributes:
        name: as in rate cards, journals and books.
        family: see `Family`.
        unit: what people count it in.
        scale: how many of its smallest parts, in which quantities are kept, make one unit.
        per: for how many units a price in a card is given where it does not say.
        meaning: for the documentation.
    """

    name: str
    family: Family
    unit: str = "token"
    scale: int = 1
    per: int = 1_000_000
    meaning: str = ""


def _tokens(family: Family, **meanings: str) -> tuple[Meter, ...]:
    return tuple(Meter(name, family, meaning=meaning) for name, meaning in meanings.items())


def _calls(**meanings: str) -> tuple[Meter, ...]:
    return tuple(Meter(name, "fee", "call", 1, 1, meaning) for name, meaning in meanings.items())


METERS: dict[str, Meter] = {
    meter.name: meter
    for meter in (
        *_tokens(
            "input",
            input="text that was neither read from nor written to a cache",
            cache_read="text read from a cache",
            cache_write_5m="text written to a cache that keeps it for 5 minutes",
            cache_write_30m="text written to a cache that keeps it for 30 minutes",
            cache_write_1h="text written to a cache that keeps it for an hour",
            cache_write_12h="text written to a cache that keeps it for 12 hours",
            input_audio="audio, not from a cache",
            cache_read_audio="audio read from a cache",
            input_image="images, not from a cache",
            cache_read_image="images read from a cache",
            input_video="video, not from a cache",
            cache_read_video="video read from a cache",
        ),
        *_tokens(
            "output",
            output="text of the answer",
            reasoning="reasoning before the answer",
            output_audio="audio of the answer",
            output_image="images of the answer",
            output_video="video of the answer",
        ),
        Meter("citation", "fee", meaning="text quoted from search results, where it is billed apart"),
        Meter("training", "fee", meaning="tokens trained on: those of the file times the epochs"),
        *_calls(
            request="a request as such",
            web_search="a search of the web by the provider",
            x_search="a search of X",
            file_search="a search of stored files",
            collections_search="a search of stored collections",
            attachment_search="a search of attached files",
            maps_search="a search of maps",
            code_execution="a run of code by the provider",
            code_session="a container for code, by the session",
            search_unit="a query over up to 100 documents",
            classification="a classified text",
        ),
        Meter("audio_time", "media", "second", 1000, 3600, "length of the audio that was read"),
        Meter("speech_time", "media", "second", 1000, 3600, "length of the audio that was made"),
        Meter("video_time", "media", "second", 1000, 1, "length of the video that was made"),
        Meter("video_read_time", "media", "second", 1000, 1, "length of the video that was read"),
        Meter("page", "media", "page", 1, 1000, "pages of documents that were read"),
        Meter("annotated_page", "media", "page", 1, 1000, "pages of documents that were read and annotated"),
        Meter("image_read", "media", "image", 1, 1, "images that were read, where billed by the piece"),
        Meter("image_made", "media", "image", 1, 1, "images that were made, where billed by the piece"),
        Meter("character", "media", "character", 1, 1_000_000, "characters that were read"),
        Meter("output_character", "media", "character", 1, 1_000_000, "characters of the answer"),
        Meter("pixel", "media", "pixel", 1, 1_000_000_000, "pixels that were made"),
        Meter("cache_storage", "period", "token-hour", 3600, 1_000_000, "tokens kept in a cache, by the hour"),
        Meter("file_storage", "period", "GB-day", 1_000_000, 1, "files kept, by the day"),
        Meter("training_time", "period", "second", 1000, 3600, "time of a training run"),
        Meter("hosting_time", "period", "second", 1000, 3600, "time for which a model of one's own is kept ready"),
        Meter("code_time", "period", "second", 1000, 3600, "time for which a container for code ran"),
        Meter("session_time", "period", "second", 1000, 3600, "length of a live session"),
        Meter("compute_time", "period", "second", 1000, 3600, "time of rented machines"),
        Meter("provisioned", "period", "unit-hour", 3600, 1, "provisioned units of throughput, by the hour"),
        Meter("egress", "period", "GB", 1_000_000, 1, "traffic that left the provider's network"),
        Meter("credit_purchase", "money", "USD", 1_000_000, 1, "credits that were bought"),
        Meter("reported_cost", "money", "USD", 1_000_000_000_000_000, 1, "what the provider says the request cost"),
    )
}


class Usage(msgspec.Struct, frozen=True):
    """The usage of one attempt, or of one thing else that is billed.

    Attributes:
        meters: quantity by meter name, disjoint; non-negative integers of the meter's smallest part.
        input_total: all input tokens, cached and written ones included: the basis of context tiers.
        prompts: the input totals of the separate inferences that the usage adds up, where it is more than one;
            each is the basis of its own context tier.
        unsplit: meters whose units stayed inside ``input`` and ``cache_read``, because the provider did not say
            how many of them were cached; priced only where that makes no difference.
        facts: what else the usage says about how it is billed, such as ``{"search_context_size": "high"}``.
        reported_femto: what the provider says the request cost, femtodollars, or None.
    """

    meters: dict[str, int]
    input_total: int
    prompts: tuple[int, ...] = ()
    unsplit: tuple[str, ...] = ()
    facts: dict[str, str] = {}
    reported_femto: int | None = None
