"""Builds what the line works with from the configuration, and builds it anew when the configuration changes.

A worker looks a few times a second whether a file changed: the configuration, the price files, pushed prices, files
with secrets. What is new is built beside what is in use and then put in its place in one step: calls under way go on
with what they began with, later ones get the new. Connections, waits and what is known of targets stay where nothing
changed for them. What cannot be used changes nothing and is said once.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence

import msgspec

from farebox.alarm import Alarm
from farebox.aside import Aside
from farebox.budgets.account import Payer
from farebox.clock import Clock
from farebox.config.providers import Provider
from farebox.edges import Edges, Journal
from farebox.errors import ConfigError, FareboxError
from farebox.health.vitals import Health
from farebox.http1.client import Origin, TimeLimits, Upstream
from farebox.journal.flush import Flusher
from farebox.pace.pacer import Pacer
from farebox.prices.book import PriceBook
from farebox.route import Routes, Target, address_of, check_endpoints
from farebox.routing.policy import Flags, Policies
from farebox.routing.request import Request
from farebox.routing.router import Means, Router
from farebox.state.archive import use_book
from farebox.state.classifiers import load_classifiers
from farebox.state.settings import Settings, Stamp, load_settings, stamp_of
from farebox.treasury.treasury import Treasury

_LOOK_S = 0.25


class Tools(msgspec.Struct, frozen=True):
    """What stays the same however often the configuration changes."""

    alarm: Alarm
    clock: Clock
    journal: Journal
    treasury: Treasury
    flusher: Flusher
    aside: Aside
    flags: Flags


class _Plan(msgspec.Struct, frozen=True):
    """What is built of a configuration where nobody waits: no connections yet."""

    settings: Settings
    book: PriceBook
    routes: Routes
    router: Router
    pacer: Pacer


class Builder:
    """Makes the edges of one worker, again and again.

    Args:
        tools: what stays.
        loop: of the worker.
    """

    def __init__(self, tools: Tools, loop: asyncio.AbstractEventLoop) -> None:
        self._tools = tools
        self._loop = loop
        self._health: Health | None = None

    def first(self, settings: Settings) -> Edges:
        """Return the edges that a worker begins with.

        Raises:
            ConfigError: where the configuration cannot be used.
        """
        return self.connect(self.plan(settings, None), None)

    def plan(self, settings: Settings, before: Edges | None) -> _Plan:
        """Return what takes time to build; made in a thread.

        Raises:
            ConfigError: where the configuration cannot be used.
        """
        config = settings.config
        book = use_book(settings.data_dir, settings.price_files)
        if before is not None and before.book.hash == book.hash:
            book = before.book  # with what it remembers
        check_endpoints(config, book)
        routes = Routes(config)
        health = self._health or Health(config.breaker, config.retries)
        self._health = health
        pacer = Pacer(config, settings.workers, self._tools.clock, self._loop.call_later)
        means = Means(
            pacer.wait_for,
            load_classifiers(config),
            Policies(config.policies, self._used, self._tools.flags) if config.policies else None,
        )
        router = Router(config, routes, book, health, means)
        return _Plan(settings, book, routes, router, pacer)

    def connect(self, plan: _Plan, before: Edges | None) -> Edges:
        """Return the edges of a plan, with what can be kept of those before; made in the event loop, in one step."""
        config = plan.settings.config
        assert self._health is not None, "a plan comes first"
        self._health.configure(config.breaker, config.retries)
        self._tools.treasury.watches_use = any(one.when.budget_percent is not None for one in config.policies)
        kept: dict[str, Upstream] = {}
        if before is not None:
            plan.pacer.take_over(before.pacer)
            plan.router.take_over(before.router)
            kept = before.upstreams
        tools = self._tools
        return Edges(
            alarm=tools.alarm,
            clock=tools.clock,
            journal=tools.journal,
            book=plan.book,
            routes=plan.routes,
            router=plan.router,
            upstreams={provider.name: _upstream(provider, kept.get(provider.name)) for provider in config.providers},
            limits=config.limits,
            treasury=tools.treasury,
            spending=config.spending,
            durable=tools.flusher if config.journal.durability == "power" else None,
            pacer=plan.pacer,
            health=self._health,
            retries=config.retries,
            aside=tools.aside,
        )

    def _used(self, request: Request, target: Target) -> tuple[int, str]:
        """Return how much the budgets of a call have used; see `routing.policy.Used`."""
        payer = Payer(request.team, request.project, request.key, request.user, dict(request.tags), request.model)
        return self._tools.treasury.most_used(payer, target.provider.name, target.model)


class Reloader:
    """Keeps a worker's edges up to date with the files.

    Args:
        spec: what the worker was started with, as JSON.
        settings: as they are in force.
        edges: as they are in force.
        builder: makes new ones.
        adopt: puts new ones in force, with their settings.

    Attributes:
        stale: why the files are not in force as they are, or "".
    """

    def __init__(
        self,
        spec: str,
        settings: Settings,
        edges: Edges,
        builder: Builder,
        adopt: Callable[[Settings, Edges], None],
    ) -> None:
        self._spec = spec
        self._settings = settings
        self._edges = edges
        self._builder = builder
        self._adopt = adopt
        self._stamp: Stamp = stamp_of(spec, settings)
        self._asked = asyncio.Event()
        self.stale: str = ""

    def ask(self) -> None:
        """Look at the files at once, and read them even if they look the same."""
        self._asked.set()

    async def run(self) -> None:
        """Look for changes until cancelled."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.ask)
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _LOOK_S)
            is_asked = self._asked.is_set()
            self._asked.clear()
            await self.look(is_asked=is_asked)

    async def look(self, *, is_asked: bool = False) -> None:
        """Put what changed in force, if anything did."""
        stamp = await asyncio.to_thread(stamp_of, self._spec, self._settings)
        if stamp == self._stamp and not is_asked:
            return
        try:
            settings = await asyncio.to_thread(load_settings, self._spec)
            _refuse_restarts(self._settings, settings)
            plan = await asyncio.to_thread(self._builder.plan, settings, self._edges)
        except FareboxError as error:
            self._stamp = stamp
            self._tell(str(error))
            return
        # Stamped before it was read: a change in between is read again. The new files may name others.
        self._stamp = stamp if settings.price_files == self._settings.price_files else stamp_of(self._spec, settings)
        before = self._edges
        self._edges = self._builder.connect(plan, before)
        self._settings = settings
        self._adopt(settings, self._edges)
        for name, upstream in before.upstreams.items():
            if self._edges.upstreams.get(name) is not upstream:
                upstream.retire()
        if self.stale:
            self._edges.alarm.note("the configuration is in force again")
        self.stale = ""

    def _tell(self, why: str) -> None:
        self.stale = why
        self._edges.alarm.note(f"the changed configuration is not in force: {why}")


def _refuse_restarts(now: Settings, wanted: Settings) -> None:
    """Refuse what only a restart can change.

    Raises:
        ConfigError: naming the keys.
    """
    pairs: Sequence[tuple[str, object, object]] = (
        ("host", now.config.host, wanted.config.host),
        ("journal", now.config.journal, wanted.config.journal),
        ("idempotency", now.config.idempotency, wanted.config.idempotency),
        ("spending.ledger", now.config.spending.ledger, wanted.config.spending.ledger),
        ("limits.body_bytes", now.config.limits.body_bytes, wanted.config.limits.body_bytes),
    )
    changed = [name for name, before, after in pairs if before != after]
    if changed:
        raise ConfigError(f"{', '.join(changed)}: this takes a restart; nothing of the file was changed until then")


def _upstream(provider: Provider, before: Upstream | None) -> Upstream:
    address = address_of(provider)
    port = address.port or (443 if address.scheme == "https" else 80)
    origin = Origin(address.scheme, address.hostname or "", port)
    limits = TimeLimits(
        provider.connect_timeout_s, provider.idle_timeout_s, provider.total_timeout_s, provider.first_token_timeout_s
    )
    if before is not None and (before.origin, before.limits) == (origin, limits):
        return before
    return Upstream(origin, limits)
