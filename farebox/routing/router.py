"""Plans a call: which targets are tried, in which order, and why. Pure; one for each worker."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from farebox.call import Asked, Inbound
from farebox.config.models import Hedge, Model, Strategy
from farebox.config.models import Target as WrittenTarget
from farebox.config.tables import Config
from farebox.errors import BadRequest
from farebox.health.vitals import Health
from farebox.money import femto_from_usd, usd_text
from farebox.prices.book import PriceBook
from farebox.route import Routes, Target
from farebox.routing.affinity import LEAST_TOKENS, Affinity, conversation_of, session_of
from farebox.routing.conditions import find_obstacle
from farebox.routing.difficulty import Classifier, by_rules
from farebox.routing.expect import Habits
from farebox.routing.order import Candidate, Sight, draw, number_of, set_scores, sort
from farebox.routing.policy import Decision, Policies, refusal
from farebox.routing.request import read_request
from farebox.routing.tables import Table, is_plain, table_of

_LONGEST = 300
_RULES: Mapping[str, Classifier] = {"rules": by_rules}
_PRICED = frozenset({"cheapest", "balanced", "auto"})
_CACHED = frozenset({"cheapest", "balanced", "auto", "sticky"})
Room = Callable[[tuple[str, str, str]], int]


class Route(msgspec.Struct, frozen=True, gc=False):
    """How a call is routed.

    Attributes:
        targets: in the order in which they are tried.
        why: in words; "" where there was nothing to choose.
        hedge: when another target is asked beside one that has not begun to answer, or None.
        shadows: targets that get a copy of the call.
        conversation: what the calls of its conversation have in common, where what is cached of it counts; else None.
        running: the policy about what the call has cost so far, or None.
    """

    targets: tuple[Target, ...]
    why: str = ""
    hedge: Hedge | None = None
    shadows: tuple[Target, ...] = ()
    conversation: object = None
    running: Decision | None = None


class Means(msgspec.Struct, frozen=True):
    """What the choice of a target depends on beside the tables.

    Attributes:
        room: how long an attempt would wait for room at a target, by its id, nanoseconds; for the choice of a key.
        classifiers: by name, what tells easy prompts from hard ones, beside ``rules``.
        policies: about calls that cost too much, or None.
    """

    room: Room = lambda _: 0
    classifiers: Mapping[str, Classifier] = {}
    policies: Policies | None = None


class Router:
    """Knows how every model is routed.

    Args:
        config: the tables.
        routes: their targets.
        book: for expected costs and what models can do.
        health: how well targets do.
        means: what else the choice depends on.
    """

    def __init__(
        self, config: Config, routes: Routes, book: PriceBook, health: Health, means: Means | None = None
    ) -> None:
        means = means or Means()
        self._routes = routes
        self._book = book
        self._health = health
        self._room = means.room
        self._policies: Policies | None = means.policies
        self._classifiers: Mapping[str, Classifier] = {**_RULES, **means.classifiers}
        self._tables: dict[str, Table] = {
            model.name: table_of(model, routes.resolve(model.name), book)
            for model in config.models
            if not is_plain(model)
        }
        plain = {name: routes.resolve(name) for name in routes.names() if name not in self._tables}
        self._plain: dict[str, Route] = {
            name: Route(targets) for name, targets in plain.items() if not any(one.siblings for one in targets)
        }
        self._plain_tables: dict[str, Table] = {}
        self.habits: Habits = Habits()
        self.affinity: Affinity = Affinity()

    def take_over(self, before: "Router") -> None:
        """Go on with what was learned of answers and conversations."""
        self.habits = before.habits
        self.affinity = before.affinity

    def plan(self, asked: Asked, inbound: Inbound, now_ns: int, mono_ns: int) -> Route:
        """Return the targets of a call.

        Args:
            asked: what it asks.
            inbound: the call.
            now_ns: nanoseconds since the epoch.
            mono_ns: the monotonic clock.

        Raises:
            NotFound: where there is no such model.
            BadRequest: where none of its targets may answer the call.
        """
        headers = inbound.headers
        demands = headers.get("x-farebox-region") is not None or headers.get("x-farebox-zero-retention") is not None
        table = self._tables.get(asked.model)
        is_watched = self._policies is not None and self._policies.watch(asked.model)
        if table is None:
            if not demands and not is_watched:
                return self._plain.get(asked.model) or self._plan_plain(asked, inbound, mono_ns)
            table = self._plaintable_of(asked.model)
        sight, conversation = self._look(table, asked, inbound, now_ns, mono_ns)
        if is_watched:
            return self._plan_watched(table, sight, conversation)
        return self._route(table, sight, conversation, self._rank(table, sight, conversation))

    def _plan_watched(self, table: Table, sight: Sight, conversation: object) -> Route:
        """Return the targets of a call that policies may be for.

        Raises:
            BadRequest: where none of its targets may answer the call.
            OverBudget: where a policy refuses it.
        """
        assert self._policies is not None, "calls are watched by policies"
        request = sight.request
        running = self._policies.running(request)
        ranked = self._rank(table, sight, conversation)
        first = ranked[0]
        if first.expected_femto is None:
            self._price(first, sight)
        decision = self._policies.decide(request, first.option.target, first.expected_femto)
        if decision is None:
            return self._route(table, sight, conversation, ranked, running=running)
        policy = decision.policy
        if policy.then == "refuse":
            raise refusal(decision)
        if policy.then == "use":
            table = self._tables.get(policy.use) or self._plaintable_of(policy.use)
            ranked = self._rank(table, sight, conversation)
        return self._route(table, sight, conversation, ranked, reason=f"{decision.reason}; ", running=running)

    def _route(
        self,
        table: Table,
        sight: Sight,
        conversation: object,
        ranked: list[Candidate],
        *,
        reason: str = "",
        running: Decision | None = None,
    ) -> Route:
        targets = tuple([one.option.target for one in ranked if not one.dropped_because or one.is_last_resort])
        if not targets:
            reasons = "; ".join(f"{one.option.name}: {one.dropped_because}" for one in ranked)
            raise BadRequest(
                f"No target of the model {table.model.name!r} may answer this call: {reasons}.",
                code="no_target",
                param="model",
            )
        return Route(
            self._with_keys(targets, sight.call, sight.mono_ns) if table.has_keys else targets,
            reason + describe(table.model.strategy, ranked),
            table.model.hedge,
            self._pick_shadows(table, sight) if table.shadows else (),
            conversation,
            running,
        )

    def explain(self, model: str, asked: Asked, inbound: Inbound, now_ns: int) -> tuple[Strategy, list[Candidate]]:
        """Return a model's strategy and every target with what it is expected to cost and why it is left out.

        Raises:
            NotFound: where there is no such model.
            BadRequest: where a header that routing reads is none.
        """
        table = self._tables.get(model) or self._plaintable_of(model)
        sight, _ = self._look(table, asked, inbound, now_ns, 0)
        return table.model.strategy, self._rank(table, sight, None, priced=True)

    def _plan_plain(self, asked: Asked, inbound: Inbound, mono_ns: int) -> Route:
        return Route(self._with_keys(self._routes.resolve(asked.model), inbound.id, mono_ns))

    def _plaintable_of(self, model: str) -> Table:
        """Return the table of a model whose targets are tried as written; those of the configuration are kept."""
        if model in self._plain_tables:
            return self._plain_tables[model]
        targets = self._routes.resolve(model)
        written = tuple(WrittenTarget(provider=one.provider.name, model=one.model) for one in targets)
        table = table_of(Model(name=model, targets=written), targets, self._book)
        if model in self._plain:
            self._plain_tables[model] = table
        return table

    def _look(self, table: Table, asked: Asked, inbound: Inbound, now_ns: int, mono_ns: int) -> tuple[Sight, object]:
        """Return what a call looks like, and what the calls of its conversation have in common, where that counts."""
        strategy = table.model.strategy
        request = read_request(asked, inbound)
        seed = inbound.id
        conversation: object = None
        if strategy in _CACHED:
            session = session_of(asked, inbound)
            if request.input_tokens >= LEAST_TOKENS:
                conversation = conversation_of(asked, session)
            if strategy == "sticky" and (session or request.key):
                seed = f"{session}\0{request.key}"
        difficulty = 0.0
        if strategy == "auto":
            difficulty = self._classifiers[table.model.auto.classifier](asked, request)
        output = self.habits.output_tokens(request)
        sight = Sight(request, seed, inbound.id, asked.stream, output, now_ns, mono_ns, difficulty)
        return sight, conversation

    def _rank(self, table: Table, sight: Sight, conversation: object, *, priced: bool = False) -> list[Candidate]:
        """Return a model's targets in the order in which they are tried, those that are left out last."""
        request = sight.request
        if priced or conversation is not None or table.model.strategy in _PRICED:
            costs = table.rates.expect(request, sight.output_tokens, sight.now_ns)
            left = [Candidate(option, cost) for option, cost in zip(table.options, costs, strict=True)]
            if conversation is not None:
                for one in left:
                    self._expect_cached(one, sight, conversation)
        else:
            left = [Candidate(option) for option in table.options]
        dropped: list[Candidate] = []
        is_simple = not (request.needs or request.region or request.zero_retention)
        if table.has_conditions or not is_simple or request.input_tokens > table.window:
            for one in left:
                one.dropped_because = self._find_obstacle(one, sight)
            dropped = [one for one in left if one.dropped_because]
            left = [one for one in left if not one.dropped_because]
        set_scores(table.model, left, sight, self._health.of)
        sort(table.model.strategy, left, has_priorities=table.has_priorities)
        if table.has_canaries:
            left = _place_canaries(left, sight.call)
        left = self._hold_back(left, sight.mono_ns)
        return left + dropped if dropped else left

    def _find_obstacle(self, one: Candidate, sight: Sight) -> str:
        """Return why a target may not answer a call, or ""."""
        when = one.option.when
        why = find_obstacle(one.option.target, when, sight.request, self._book, sight.now_ns)
        if when is not None and when.expected_usd_up_to is not None and not why:
            return self._too_dear(one, sight, when.expected_usd_up_to)
        return why

    def _too_dear(self, one: Candidate, sight: Sight, cap: str) -> str:
        if one.expected_femto is None:
            self._price(one, sight)
        if one.expected_femto is not None and one.expected_femto <= femto_from_usd(cap):
            return ""
        cost = "not known" if one.expected_femto is None else f"about {usd_text(one.expected_femto)} USD"
        return f"it is for calls of up to {cap} USD, and this is {cost}"

    def _price(self, one: Candidate, sight: Sight) -> None:
        one.expected_femto = one.option.pricer.femto(sight.request, sight.output_tokens, sight.now_ns)

    def _expect_cached(self, one: Candidate, sight: Sight, conversation: object) -> None:
        """Take what the provider has cached of a conversation off the expected cost."""
        request, target = sight.request, one.option.target
        if one.expected_femto is None:
            return
        cached = self.affinity.cached_tokens(conversation, target.id, request.input_tokens, sight.mono_ns)
        if cached:
            warm = one.option.pricer.femto(request, sight.output_tokens, sight.now_ns, cached)
            if warm is not None and warm < one.expected_femto:
                one.saving_femto = one.expected_femto - warm
                one.expected_femto = warm

    def _hold_back(self, ranked: list[Candidate], mono_ns: int) -> list[Candidate]:
        """Return the candidates with those last that fail or asked to wait, if the first does and not all."""
        if not ranked or not self._is_blocked(ranked[0].option.target, mono_ns):
            return ranked  # whatever follows the first is looked at again where it fails
        blocked = [one for one in ranked if self._is_blocked(one.option.target, mono_ns)]
        if len(blocked) == len(ranked):
            return ranked
        for one in blocked:
            one.dropped_because = self._health.of(one.option.target).why_blocked or "none of its keys can be used"
            one.is_last_resort = True
        return [*(one for one in ranked if not one.is_last_resort), *blocked]

    def _is_blocked(self, target: Target, mono_ns: int) -> bool:
        """Whether a target is to be left out with every key there is."""
        health = self._health
        if not health.of(target).blocked_until(mono_ns):
            return False
        return all(health.of(sibling).blocked_until(mono_ns) for sibling in target.siblings)

    def _with_keys(self, targets: Sequence[Target], call: str, mono_ns: int) -> tuple[Target, ...]:
        """Return targets with each key of their providers for itself: first the one that has room and is least used."""
        if not any(target.siblings for target in targets):
            return tuple(targets)
        seed = number_of(call)

        def load(target: Target) -> tuple[bool, int, float, float]:
            vitals = self._health.of(target)
            return (
                bool(vitals.blocked_until(mono_ns)),
                self._room(target.id),
                vitals.in_flight / target.key_weight,
                -(draw(seed, number_of(target.key)) ** (1 / target.key_weight)),
            )

        spread: list[Target] = []
        for target in targets:
            spread += sorted((target, *target.siblings), key=load) if target.siblings else (target,)
        return tuple(spread)

    def _pick_shadows(self, table: Table, sight: Sight) -> tuple[Target, ...]:
        seed = number_of(f"shadow {sight.call}")
        return tuple(
            option.target
            for option, percent in table.shadows
            if draw(seed, option.number) * 100 <= percent
            and not find_obstacle(option.target, option.when, sight.request, self._book, sight.now_ns)
        )


def describe(strategy: Strategy, ranked: Sequence[Candidate]) -> str:
    """Return why the first target is the first, in a line."""
    first = ranked[0]
    cost = "" if first.expected_femto is None else f" at about {usd_text(first.expected_femto)} USD"
    if first.saving_femto:
        cost += f" (its cache saves about {usd_text(first.saving_femto)})"
    if strategy == "fastest" and first.score:
        cost += f" in about {first.score:.2f} s"
    dropped = [one for one in ranked if one.dropped_because]
    text = f"{strategy}: {first.option.name}{cost}, of {len(ranked) - len(dropped)}"
    for one in dropped:
        text += f"; not {one.option.name}: {one.dropped_because}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _place_canaries(ranked: list[Candidate], call: str) -> list[Candidate]:
    """Return the candidates with a canary first where the call draws it, and last where not."""
    if not any(one.option.canary_percent for one in ranked):
        return ranked
    seed = number_of(f"canary {call}")
    drawn = [
        one
        for one in ranked
        if one.option.canary_percent and draw(seed, one.option.number) * 100 <= one.option.canary_percent
    ]
    usual = [one for one in ranked if not one.option.canary_percent]
    rest = [one for one in ranked if one.option.canary_percent and one not in drawn]
    return [*drawn, *usual, *rest]
