"""``farebox route explain``: which targets a request would be sent to, and why."""

import os
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from farebox.call import Inbound
from farebox.cli.options import config_option, find_config, json_option
from farebox.errors import BadRequest
from farebox.health.vitals import Health
from farebox.money import usd_text
from farebox.present.amounts import short_usd
from farebox.present.tables import make_console, print_table
from farebox.route import Routes
from farebox.routing.order import Candidate
from farebox.routing.request import read_request
from farebox.routing.router import Router, describe
from farebox.state.pricebook import load_book
from farebox.state.settings import read_config
from farebox.wire.json_body import parse_object
from farebox.wire.operations import READINGS

_DEPTH = 64
# What only a running worker knows: this command runs beside the gateway, so nothing was learned yet.
_LEARNED = {
    "fastest": "No target was seen here: a worker goes by the times and failures that it sees itself.",
    "balanced": "No target was seen here: times and health count as equal; a worker goes by what it sees itself.",
    "sticky": "Nothing is cached here: in a worker, a target that has the conversation in its cache goes first.",
}


@click.group()
def route() -> None:
    """See where calls go, and why."""


@route.command()
@click.option("--model", required=True, help="What the client asks for.")
@click.option("--request", "request_path", type=click.File("rb"), help="The request's body; - for standard input.")
@click.option("--operation", type=click.Choice(sorted(READINGS)), default="chat", show_default=True)
@click.option("--header", "headers", multiple=True, help="A header of the call, NAME=VALUE; repeatable.")
@click.option("--key", default="", help="Name of the virtual key that calls.")
@click.option("--team", default="", help="Team of that key.")
@config_option
@json_option
def explain(
    model: str, request_path: Any, operation: str, config_path: Path | None, *, as_json: bool, **caller: Any
) -> None:
    """Show the targets of a model for a request: what it is expected to cost at each, and why some are left out."""
    path = find_config(config_path)
    config = read_config(path, os.environ)
    base = Path() if path is None else path.parent
    book = load_book([base / name for name in config.prices])
    body = parse_object(request_path.read(), _DEPTH) if request_path else _example(operation)
    try:
        asked = READINGS[operation].request({**body, "model": model})
        inbound = Inbound("explain", "", caller["key"], 0, _read_headers(caller["headers"]), caller["team"])
        request = read_request(asked, inbound)
        router = Router(config, Routes(config), book, Health(config.breaker, config.retries))
        strategy, ranked = router.explain(model, asked, inbound, time.time_ns())
    except BadRequest as error:
        raise click.UsageError(error.message) from None
    chosen = next((one for one in ranked if not one.dropped_because), None)
    if as_json:
        click.echo(
            msgspec.json.encode(
                {
                    "model": model,
                    "strategy": strategy,
                    "input_tokens": request.input_tokens,
                    "candidates": [_as_dict(one) for one in ranked],
                    "chosen": None if chosen is None else _name(chosen),
                }
            )
        )
    else:
        words = {id(chosen): "chosen"}
        rows = [
            (_name(one), _cost(one), _score(one), one.dropped_because or words.get(id(one), "next")) for one in ranked
        ]
        print_table(make_console(), f"{model}: {strategy}", ("target", ">expected", ">score", "why"), rows)
        if chosen is not None:
            click.echo(describe(strategy, ranked))
        if strategy in _LEARNED:
            click.echo(_LEARNED[strategy])
    if chosen is None:
        raise click.exceptions.Exit(1)


def _example(operation: str) -> dict[str, Any]:
    if operation == "embeddings":
        return {"input": "Hello"}
    return {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}


def _read_headers(pairs: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--header")
        headers[name.strip().lower()] = value.strip()
    return headers


def _name(candidate: Candidate) -> str:
    return f"{candidate.option.target.provider.name}/{candidate.option.target.model}"


def _cost(candidate: Candidate) -> str:
    return "-" if candidate.expected_femto is None else short_usd(candidate.expected_femto)


def _score(candidate: Candidate) -> str:
    return "-" if candidate.score is None or candidate.dropped_because else f"{candidate.score:.6g}"


def _as_dict(candidate: Candidate) -> dict[str, Any]:
    cost = candidate.expected_femto
    return {
        "provider": candidate.option.target.provider.name,
        "model": candidate.option.target.model,
        "expected_usd": None if cost is None else usd_text(cost),
        "score": candidate.score,
        "saving_usd": usd_text(candidate.saving_femto),
        "dropped_because": candidate.dropped_because or None,
    }
