"""What an attempt used: a vector of disjoint meters.

Disjoint means that no unit is counted in two meters: the input meters add up to the whole input. A meter
is what a provider can put a price on; a meter that is absent was not reported, which is not the same as 0.
"""

from typing import Literal

import msgspec

Family = Literal["input", "output", "fee"]


class Meter(msgspec.Struct, frozen=True):
    """One thing that can be counted and priced."""

    name: str
    family: Family
    unit: str = "token"


METERS: dict[str, Meter] = {
    meter.name: meter
    for meter in (
        Meter("input", "input"),
        Meter("cache_read", "input"),
        Meter("cache_write_5m", "input"),
        Meter("cache_write_30m", "input"),
        Meter("cache_write_1h", "input"),
        Meter("cache_write_12h", "input"),
        Meter("input_audio", "input"),
        Meter("cache_read_audio", "input"),
        Meter("input_image", "input"),
        Meter("cache_read_image", "input"),
        Meter("output", "output"),
        Meter("reasoning", "output"),
        Meter("output_audio", "output"),
        Meter("output_image", "output"),
        Meter("web_search", "fee", "call"),
        Meter("file_search", "fee", "call"),
        Meter("request", "fee", "call"),
    )
}


class Usage(msgspec.Struct, frozen=True):
    """The usage of one attempt.

    Attributes:
        meters: quantity by meter name, disjoint; quantities are non-negative integers in the meter's unit.
        input_total: all input tokens, cached and written ones included: the basis of context tiers.
        prompts: the input totals of the separate inferences that the usage adds up, where it is more than one;
            each is the basis of its own context tier.
        unsplit: meters whose units stayed inside ``input`` and ``cache_read``, because the provider did not say
            how many of them were cached; priced only where that makes no difference.
    """

    meters: dict[str, int]
    input_total: int
    prompts: tuple[int, ...] = ()
    unsplit: tuple[str, ...] = ()
