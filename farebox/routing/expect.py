"""What a call is expected to cost at a target, at this moment: its own tokens at the prices that hold now.

Not a bound: the output is what answers to that model usually have, as seen so far, within the call's cap; what the
provider has cached of the conversation counts at its price for that, as far as it was seen to. A target of which the
price is not known has no expected cost, which is not 0.
"""

from collections.abc import Sequence

from farebox.charge import Charge
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import charge, find_bands, recall, table_for, total_of
from farebox.prices.tariff import Bands
from farebox.route import Target
from farebox.routing.request import Request
from farebox.usage import Usage

USUAL_OUTPUT_TOKENS = 300
_NS = 1_000_000_000
_MOST_MODELS = 10_000
_EMPTY = Usage({}, 0)
_Units = tuple[int, int, int]  # above so many input tokens: a token of input, one of output, femtodollars


class Habits:
    """What answers usually are, by the model that was asked for: a decayed mean of output tokens. Of one worker."""

    def __init__(self) -> None:
        self._output: dict[str, int] = {}

    def learn(self, model: str, output_tokens: int) -> None:
        """Take an answer in."""
        before = self._output.get(model)
        if before is None:
            if len(self._output) >= _MOST_MODELS:
                self._output.clear()  # clients may name models at will; what they name must not fill the memory
            self._output[model] = output_tokens
        else:
            self._output[model] = before + (output_tokens - before) // 16

    def output_tokens(self, request: Request) -> int:
        """Return how many tokens the answer is expected to have."""
        usual = self._output.get(request.model, USUAL_OUTPUT_TOKENS)
        return usual if request.output_cap is None else min(usual, request.output_cap)


class Pricer:
    """What calls are expected to cost at one target. It remembers the rates of the second: schedules turn on those.

    Args:
        book: the price book.
        target: where calls would go.
    """

    __slots__ = ("_bands", "_book", "_second", "_target", "_tier", "_units")

    def __init__(self, book: PriceBook, target: Target) -> None:
        self._book = book
        self._target = target
        self._second: int = -1
        self._tier: str | None = None
        self._bands: Bands | str = ""
        self._units: tuple[_Units, ...] = ()

    def femto(self, request: Request, output_tokens: int, now_ns: int, cached_tokens: int = 0) -> int | None:
        """Return the expected cost in femtodollars, or None where it is not known.

        Args:
            request: the call.
            output_tokens: that its answer is expected to have.
            now_ns: when it would be sent.
            cached_tokens: of its input, what the provider is expected to have cached.
        """
        if request.operation == "count_tokens":
            return 0
        tier = request.service_tier or self._target.service_tier or None
        if now_ns // _NS != self._second or tier != self._tier:
            self._look_up(tier, now_ns)
        inputs, outputs = _sizes(request, output_tokens)
        if not cached_tokens:
            for above, input_femto, output_femto in self._units:
                if inputs > above:
                    return inputs * input_femto + outputs * output_femto
        return self._at_length(inputs, outputs, cached_tokens, tier, now_ns)

    def units(self, tier: str | None, second: int) -> tuple[_Units, ...]:
        """Return what tokens cost by the length of the input, longest first; nothing where it takes more than that.

        Args:
            tier: that the call asks for, or None.
            second: of the wall clock.
        """
        tier = tier or self._target.service_tier or None
        if second != self._second or tier != self._tier:
            self._look_up(tier, second * _NS)
        return self._units

    def _look_up(self, tier: str | None, now_ns: int) -> None:
        self._second, self._tier = now_ns // _NS, tier
        self._units = ()
        bands = self._bands = find_bands(recall(self._book, self._rating(_EMPTY, tier, now_ns)), now_ns)
        if isinstance(bands, str):
            return
        units = [(above, total_of(table, {"input": 1}), total_of(table, {"output": 1})) for above, table in bands]
        if all(one[1] is not None and one[2] is not None for one in units):
            self._units = tuple([(above, one or 0, other or 0) for above, one, other in units])

    def _at_length(self, inputs: int, outputs: int, cached: int, tier: str | None, now_ns: int) -> int | None:
        """Return the cost where it takes more than two multiplications."""
        if isinstance(self._bands, str):
            return None
        table = table_for(self._bands, inputs)
        if table is None:
            return None
        meters = {"input": inputs}
        if cached and "cache_read" in table:
            meters = {"input": max(1, inputs - cached), "cache_read": min(cached, inputs - 1)}
        if outputs:
            meters["output"] = outputs
        total = total_of(table, meters)
        if total is not None:
            return total
        found = charge(self._book, self._rating(Usage(meters, inputs), tier, now_ns))
        return found.total_femto if isinstance(found, Charge) else None

    def _rating(self, usage: Usage, tier: str | None, now_ns: int) -> Rating:
        provider = self._target.provider
        return Rating(
            self._target.rate_provider,
            "",
            self._target.model,
            usage,
            now_ns,
            tier,
            region=provider.region or None,
            facts={"deployment": provider.deployment} if provider.deployment else {},
        )


class Rates:
    """What calls are expected to cost at several targets; like `Pricer` it remembers the rates of the second."""

    __slots__ = ("_pricers", "_second", "_tier", "_units")

    def __init__(self, pricers: Sequence[Pricer]) -> None:
        self._pricers = pricers
        self._second: int = -1
        self._tier: str | None = None
        self._units: list[tuple[_Units, ...]] = []

    def expect(self, request: Request, output_tokens: int, now_ns: int) -> list[int | None]:
        """Return what a call is expected to cost at each of the targets, as `Pricer.femto` says."""
        if request.operation == "count_tokens":
            return [0] * len(self._pricers)
        tier, second = request.service_tier, now_ns // _NS
        if second != self._second or tier != self._tier:
            self._units = [pricer.units(tier, second) for pricer in self._pricers]
            self._second, self._tier = second, tier
        inputs, outputs = _sizes(request, output_tokens)
        costs: list[int | None] = []
        for number, units in enumerate(self._units):
            for above, input_femto, output_femto in units:
                if inputs > above:
                    costs.append(inputs * input_femto + outputs * output_femto)
                    break
            else:
                costs.append(self._pricers[number].femto(request, output_tokens, now_ns))
        return costs


def _sizes(request: Request, output_tokens: int) -> tuple[int, int]:
    """Return the tokens of input and output that are priced."""
    return request.input_tokens or 1, 0 if request.operation == "embeddings" else output_tokens
