"""What a call is expected to cost at a target, at this moment: its own tokens at the prices that hold now.

Not a bound: the output is what answers to that model usually have, as seen so far, within the call's cap. A target of
which the price is not known has no expected cost, which is not 0.
"""

from farebox.charge import Charge
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.route import Target
from farebox.routing.request import Request
from farebox.usage import Usage

USUAL_OUTPUT_TOKENS = 300


class Habits:
    """What answers usually are, by the model that was asked for: a decayed mean of output tokens. Of one worker."""

    def __init__(self) -> None:
        self._output: dict[str, int] = {}

    def learn(self, model: str, output_tokens: int) -> None:
        """Take an answer in."""
        before = self._output.get(model)
        if before is None:
            if len(self._output) >= 10_000:
                self._output.clear()  # clients may name models at will; what they name must not fill the memory
            self._output[model] = output_tokens
        else:
            self._output[model] = before + (output_tokens - before) // 16

    def output_tokens(self, request: Request) -> int:
        """Return how many tokens the answer is expected to have."""
        usual = self._output.get(request.model, USUAL_OUTPUT_TOKENS)
        return usual if request.output_cap is None else min(usual, request.output_cap)


def expected_femto(book: PriceBook, target: Target, request: Request, output_tokens: int, now_ns: int) -> int | None:
    """Return the expected cost in femtodollars, or None where it is not known.

    Args:
        book: the price book.
        target: where the call would go.
        request: the call.
        output_tokens: that its answer is expected to have.
        now_ns: when it would be sent.
    """
    if request.operation == "count_tokens":
        return 0
    rating = Rating(
        target.rate_provider,
        "",
        target.model,
        Usage(_meters(request, output_tokens), request.input_tokens),
        now_ns,
        request.service_tier,
        region=target.provider.region or None,
        facts={"deployment": target.provider.deployment} if target.provider.deployment else {},
    )
    found = charge(book, rating)
    return found.total_femto if isinstance(found, Charge) else None


def _meters(request: Request, output_tokens: int) -> dict[str, int]:
    meters = {"input": max(1, request.input_tokens)}
    if request.operation != "embeddings" and output_tokens:
        meters["output"] = output_tokens
    return meters
