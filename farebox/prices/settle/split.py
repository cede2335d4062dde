"""Cuts at thresholds and whole shares: the arithmetic that both the ordered pass and its SQL twin follow."""

from collections.abc import Iterator, Sequence


def share(amount_femto: int, part: int, whole: int) -> int:
    """Return the share of an amount that the first ``part`` of ``whole`` units have, rounded down.

    Shares of neighbouring parts are differences of these, so that they always add up to the amount.
    """
    return amount_femto * part // whole


def cut(starts: Sequence[int], position: int, length: int) -> Iterator[tuple[int, int, int]]:
    """Yield the bands that a stretch lies in, as band, and from and until within the stretch.

    Args:
        starts: where each band starts, rising, the first at 0; the last has no end.
        position: where the stretch starts.
        length: of the stretch; one of length 0 lies in the band of its position.
    """
    last = len(starts) - 1
    for band, start in enumerate(starts):
        from_ = max(start, position)
        until = position + length if band == last else min(starts[band + 1], position + length)
        if from_ < until or (length == 0 and start <= position and (band == last or position < starts[band + 1])):
            yield band, from_ - position, until - position
