"""CPU of choosing a target: `Router.plan` with five candidates under each strategy, and without a choice.

Run: ``python -m bench.routing [--calls 20000]``, on a machine that does nothing else. Prints microseconds of a call.
"""

import argparse
import time
from typing import Any

from farebox.call import Inbound
from farebox.config.models import Model, Target
from farebox.config.policies import Breaker, Retries
from farebox.config.providers import Provider
from farebox.config.tables import Config
from farebox.health.vitals import Health
from farebox.http1.exchange import RequestHeaders
from farebox.route import Routes
from farebox.routing.router import Router
from farebox.state.pricebook import load_book
from farebox.wire.operations import READINGS

STRATEGIES = ("priority", "weighted", "cheapest", "fastest", "balanced", "sticky", "auto")
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5-mini")
BODY = {
    "model": "m",
    "stream": True,
    "max_tokens": 200,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant. " * 10},
        {"role": "user", "content": "Hello there, what is the weather like? " * 5},
    ],
}


def measure(strategy: Any, calls: int) -> float:
    """Return the CPU time of a call's plan in microseconds, the least of three rounds."""
    providers = tuple(Provider(name=f"p{n}", kind="openai", api_key="sk-1") for n in range(len(MODELS)))
    targets = tuple(
        Target(provider=f"p{n}", model=model, grade="small" if n % 2 else "large") for n, model in enumerate(MODELS)
    )
    config = Config(providers=providers, models=(Model(name="m", strategy=strategy, targets=targets),))
    routes, health = Routes(config), Health(Breaker(), Retries())
    router = Router(config, routes, load_book(), health)
    now_ns, mono_ns = time.time_ns(), time.monotonic_ns()
    for target in routes.resolve("m"):
        health.of(target).pulse.learn_stream(mono_ns, 10**8, 10**9, 100)
    asked = READINGS["chat"].request(BODY)
    inbound = Inbound("call_1", "k", "name", 0, RequestHeaders(), "team")
    rounds = []
    for _ in range(3):
        start_ns = time.process_time_ns()
        for _ in range(calls):
            router.plan(asked, inbound, now_ns, mono_ns)
        rounds.append((time.process_time_ns() - start_ns) / calls / 1000)
    return min(rounds)


def main() -> None:
    """Print a line for each strategy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=20_000)
    options = parser.parse_args()
    for strategy in STRATEGIES:
        words = "no choice: targets as written" if strategy == "priority" else "five candidates"
        print(f"{strategy:10} {measure(strategy, options.calls):6.2f} us  {words}")


if __name__ == "__main__":
    main()
