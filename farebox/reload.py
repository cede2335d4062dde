"""Builds what the line works with from the configuration, and builds it anew when the configuration changes.

A worker looks a few times a second whether a file changed: the configuration, the price files, pushed prices, files
with secrets. What is new is built beside what is in use and then put in its place in one step: calls under way go on
with what they began with, later ones get the new. Connections, waits and what is known of targets stay where nothing
changed for them. What cannot be used changes nothing and is said once.
"""

import asyncio
import contextlib
import signal
import sqlite3
from collections.abc import Callable

import msgspec

from farebox.alarm import Alarm
from farebox.aside import Aside
from farebox.budgets.account import Payer
from farebox.clock import Clock
from farebox.config.providers import Provider
from farebox.edges import Edges, Journal
from farebox.errors import FareboxError
from farebox.health.vitals import Health
from farebox.http1.client import Origin, TimeLimits, Upstream
from farebox.journal.flush import Flusher
from farebox.pace.pacer import Pacer
from farebox.prices.book import PriceBook
from farebox.route import Routes, Target, address_of
from farebox.routing.policy import Flags, Policies
from farebox.routing.request import Request
from farebox.routing.router import Means, Router
from farebox.state.archive import use_book
from farebox.state.checked import check, refuse_restarts
from farebox.state.settings import Files, Settings
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
        checked = check(config, book)
        health = self._health or Health(config.breaker, config.retries)
        self._health = health
        pacer = Pacer(config, settings.workers, self._tools.clock, self._loop.call_later)
        means = Means(
            pacer.wait_for,
            checked.classifiers,
            Policies(config.policies, self._used, self._tools.flags) if config.policies else None,
        )
        router = Router(config, checked.routes, book, health, means)
        return _Plan(settings, book, checked.routes, router, pacer)

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
        prepare: does what can fail, in a thread, before new ones are put in force.
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
        prepare: Callable[[Settings], None],
        adopt: Callable[[Settings, Edges], None],
    ) -> None:
        self._files = Files(spec, settings)
        self._settings = settings
        self._edges = edges
        self._builder = builder
        self._prepare = prepare
        self._adopt = adopt
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
        if not (await asyncio.to_thread(self._files.have_changed) or is_asked):
            return
        try:
            settings = await asyncio.to_thread(self._files.read)
            refuse_restarts(self._settings, settings)
            plan = await asyncio.to_thread(self._builder.plan, settings, self._edges)
            await asyncio.to_thread(self._prepare, settings)
        except (FareboxError, OSError, sqlite3.Error) as error:
            self._tell(str(error))
            return
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
