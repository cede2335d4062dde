"""Counts over the last seconds, in a ring of slices: the past falls out slice by slice."""

_SLICES = 10


class Window:
    """Good and bad ends of the last ``span_ns``, to a tenth of it. Instants are monotonic nanoseconds."""

    __slots__ = ("_bad", "_bad_sum", "_good", "_good_sum", "_newest", "_slice_ns")

    def __init__(self, span_ns: int) -> None:
        self._slice_ns: int = max(1, span_ns // _SLICES)
        self._newest: int = 0
        self.clear()

    def add(self, now_ns: int, *, bad: bool = False) -> None:
        """Count one."""
        number = now_ns // self._slice_ns
        if number > self._newest:
            self._turn(number)
        if bad:
            self._bad[self._newest % _SLICES] += 1
            self._bad_sum += 1
        else:
            self._good[self._newest % _SLICES] += 1
            self._good_sum += 1

    def totals(self, now_ns: int) -> tuple[int, int]:
        """Return how many were good and how many bad."""
        number = now_ns // self._slice_ns
        if number > self._newest:
            self._turn(number)
        return self._good_sum, self._bad_sum

    def clear(self) -> None:
        """Forget all."""
        self._good: list[int] = [0] * _SLICES
        self._bad: list[int] = [0] * _SLICES
        self._good_sum: int = 0
        self._bad_sum: int = 0

    def _turn(self, number: int) -> None:
        for passed in range(max(self._newest, number - _SLICES) + 1, number + 1):
            place = passed % _SLICES
            self._good_sum -= self._good[place]
            self._bad_sum -= self._bad[place]
            self._good[place] = self._bad[place] = 0
        self._newest = number
