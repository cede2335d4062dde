"""What a usage object itself says about how it is billed, whichever API it is of."""

from collections.abc import Mapping
from typing import Any

import msgspec

from farebox.normalise.context import read_tier

_TIERS = ("service_tier", "serviceTier", "trafficType", "traffic_type")


class Evidence(msgspec.Struct, frozen=True):
    """Each is None where the usage says nothing."""

    service_tier: str | None = None
    speed: str | None = None
    region: str | None = None


def read_evidence(raw: Mapping[str, Any]) -> Evidence:
    """Return what the usage object says about the tier, the speed and the place of the inference."""
    tier = None
    for key in _TIERS:
        said = raw.get(key)
        if said is None:
            continue
        if not isinstance(said, str) and isinstance(said, Mapping):  # the ABC's check is slow
            said = said.get("type")
        if isinstance(said, str) and not said.endswith("UNSPECIFIED"):
            tier = read_tier(said)
            break
    speed, region = raw.get("speed"), raw.get("inference_geo")
    return Evidence(tier, speed if isinstance(speed, str) else None, region if isinstance(region, str) else None)
