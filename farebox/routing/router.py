"""Plans a call: which targets are tried, in which order, and why. Pure; one for each worker."""

from collections.abc import Sequence

import msgspec

from farebox.call import Asked, Inbound
from farebox.config.models import Hedge, Model, Strategy, When
from farebox.config.tables import Config
from farebox.errors import BadRequest
from farebox.money import usd_text
from farebox.prices.book import PriceBook
from farebox.route import Routes, Target
from farebox.routing.expect import Habits
from farebox.routing.order import Candidate, Option, consider, price_candidates, rank
from farebox.routing.request import Request, read_request

_EVERYTHING = When()
_LONGEST = 300
_DEMANDS = ("x-farebox-region", "x-farebox-zero-retention")


class Route(msgspec.Struct, frozen=True):
    """How a call is routed.

    Attributes:
        targets: in the order in which they are tried.
        why: in words; "" where there was nothing to choose.
        hedge: when another target is asked beside one that has not begun to answer, or None.
        shadows: targets that get a copy of the call.
    """

    targets: tuple[Target, ...]
    why: str = ""
    hedge: Hedge | None = None
    shadows: tuple[Target, ...] = ()


class Router:
    """Knows how every model is routed.

    Args:
        config: the tables.
        routes: their targets.
        book: for expected costs and what models can do.
    """

    def __init__(self, config: Config, routes: Routes, book: PriceBook) -> None:
        self._routes = routes
        self._book = book
        self._tables: dict[str, tuple[Strategy, tuple[Option, ...]]] = {
            model.name: (model.strategy, _options(model, routes.resolve(model.name)))
            for model in config.models
            if not _is_plain(model)
        }
        self.habits: Habits = Habits()

    def plan(self, asked: Asked, inbound: Inbound, now_ns: int) -> Route:
        """Return the targets of a call.

        Raises:
            NotFound: where there is no such model.
            BadRequest: where none of its targets may answer the call.
        """
        table = self._tables.get(asked.model)
        headers = inbound.headers
        if (
            table is None
            and headers.get("x-farebox-region") is None
            and headers.get("x-farebox-zero-retention") is None
        ):
            return Route(self._routes.resolve(asked.model))
        strategy, options = table or ("priority", _plain_options(self._routes.resolve(asked.model)))
        request = read_request(asked, inbound)
        ranked = self.rank(strategy, options, request, seed=_seed(strategy, request, inbound.id), now_ns=now_ns)
        targets = tuple([one.option.target for one in ranked if not one.dropped_because])
        if not targets:
            reasons = "; ".join(f"{_name(one)}: {one.dropped_because}" for one in ranked)
            raise BadRequest(
                f"No target of the model {asked.model!r} may answer this call: {reasons}.",
                code="no_target",
                param="model",
            )
        return Route(targets, describe(strategy, ranked))

    def explain(self, model: str, request: Request, now_ns: int) -> tuple[Strategy, list[Candidate]]:
        """Return a model's strategy and every target with what it is expected to cost and why it is left out.

        Raises:
            NotFound: where there is no such model.
        """
        strategy, options = self._tables.get(model) or ("priority", _plain_options(self._routes.resolve(model)))
        candidates = price_candidates(
            consider(options, request, self._book, now_ns),
            request,
            self.habits.output_tokens(request),
            self._book,
            now_ns,
        )
        return strategy, rank(strategy, candidates, _seed(strategy, request, "explain"))

    def rank(
        self, strategy: Strategy, options: Sequence[Option], request: Request, *, seed: str, now_ns: int
    ) -> list[Candidate]:
        """Return a model's targets in the order in which they are tried."""
        candidates = consider(options, request, self._book, now_ns)
        if strategy == "cheapest":
            output = self.habits.output_tokens(request)
            candidates = price_candidates(candidates, request, output, self._book, now_ns)
        return rank(strategy, candidates, seed)


def describe(strategy: Strategy, ranked: Sequence[Candidate]) -> str:
    """Return why the first target is the first, in a line."""
    first = ranked[0]
    cost = "" if first.expected_femto is None else f" at about {usd_text(first.expected_femto)} USD"
    left = sum(not one.dropped_because for one in ranked)
    text = f"{strategy}: {_name(first)}{cost}, of {left}"
    for one in ranked:
        if one.dropped_because:
            text += f"; not {_name(one)}: {one.dropped_because}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _is_plain(model: Model) -> bool:
    """Whether the targets are tried as written, whoever asks."""
    return model.strategy == "priority" and all(
        target.when == _EVERYTHING and not target.priority for target in model.targets
    )


def _options(model: Model, targets: Sequence[Target]) -> tuple[Option, ...]:
    return tuple(
        Option(target, written.weight, written.priority, written.when)
        for target, written in zip(targets, model.targets, strict=True)
    )


def _plain_options(targets: Sequence[Target]) -> tuple[Option, ...]:
    return tuple(Option(target, 1, 0, _EVERYTHING) for target in targets)


def _seed(strategy: Strategy, request: Request, call: str) -> str:
    if strategy != "sticky":
        return call
    return f"{request.user}\0{request.key}" if request.user or request.key else call


def _name(candidate: Candidate) -> str:
    target = candidate.option.target
    return f"{target.provider.name}/{target.model}"
