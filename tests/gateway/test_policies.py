"""Policies about cost, through a real gateway: expected and running cost, budgets near their cap, anomaly flags."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from farebox.cli.main import cli
from tests.gateway.conftest import KEY, Books, Gateway

CONFIG = """
providers = [
  { name = "openai", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-simulated" },
  { name = "broken", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-simulated" },
]
keys = [{ name = "tests", key = "KEY", team = "search" }]
[retries]
repeats = 0
[pacing]
learn = false
[[models]]
name = "smart"
targets = [{ provider = "openai", model = "gpt-4o" }]
[[models]]
name = "dear"
targets = [{ provider = "openai", model = "gpt-4o" }]
[[models]]
name = "budgeted"
targets = [{ provider = "openai", model = "gpt-4o" }]
[[models]]
name = "running"
targets = [{ provider = "openai", model = "gpt-4o" }]
[[models]]
name = "slow-lane"
targets = [{ provider = "openai", model = "gpt-4o" }]
[[models]]
name = "cheap"
targets = [{ provider = "openai", model = "gpt-4o-mini" }]
[[models]]
name = "flex"
targets = [{ provider = "openai", model = "gpt-5-mini", service_tier = "flex" }]

[[policies]]
name = "too-dear"
when = { models = ["smart"], expected_usd_over = "0.05" }
then = "use"
use = "cheap"
[[policies]]
name = "never"
when = { models = ["dear"], expected_usd_over = "0.05" }
then = "refuse"
[[policies]]
name = "look"
when = { models = ["dear"], expected_usd_over = "0.01" }
then = "flag"
[[policies]]
name = "odd"
when = { models = ["smart"], flagged = true }
then = "use"
use = "cheap"
[[policies]]
name = "near-cap"
when = { models = ["budgeted"], budget_percent = 80 }
then = "use"
use = "cheap"
[[policies]]
name = "long-answers"
when = { models = ["running"], running_usd_over = "0.0001" }
then = "THEN"
[[policies]]
name = "off-peak"
when = { models = ["slow-lane"], criticality = ["sheddable"] }
then = "use"
use = "flex"

"""
LONG = "words and more words " * 4000  # about 21,000 tokens: 0.0525 USD of input at gpt-4o


@pytest.fixture
def start(tmp_path: Path, simulated) -> Iterator[Callable[..., Gateway]]:
    running: list[Gateway] = []

    def start(then: str = "flag") -> Gateway:
        text = CONFIG.replace("SIMULATED", simulated.url).replace("KEY", KEY).replace("THEN", then)
        (tmp_path / "farebox.toml").write_text(text)
        running.append(Gateway(tmp_path, tmp_path / "farebox.toml"))
        return running[-1]

    yield start
    for gateway in running:
        assert gateway.stop() == 0


@pytest.fixture
def own(start: Callable[..., Gateway]) -> Gateway:
    return start()


def ask(
    gateway: Gateway, model: str, text: str = "Hi", *, stream: bool = False, wishes: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    cap = "max_completion_tokens" if model == "slow-lane" else "max_tokens"
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream, cap: 60}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, found, data = gateway.openai("/chat/completions", {**body, **({"user": wishes} if wishes else {})}, named)
    return status, found, data


def test_a_call_that_is_expected_to_cost_too_much_goes_elsewhere(own, books_of) -> None:
    books: Books = books_of(own)
    assert ask(own, "smart")[1]["x-farebox-model"] == "gpt-4o"
    _, headers, _ = ask(own, "smart", LONG)
    assert headers["x-farebox-model"] == "gpt-4o-mini"
    assert headers["x-farebox-route"].startswith("policy too-dear: it is expected to cost 0.05")
    _, headers, _ = ask(own, "smart", LONG, x_farebox_criticality="critical")
    assert headers["x-farebox-model"] == "gpt-4o"
    moved = books.exact(3)[1]
    assert moved.sent.route == moved.sent.route.strip()
    assert moved.sent.route.startswith("policy too-dear")
    assert moved.sent.asked_model == "smart"


def test_it_is_refused_or_flagged_where_the_policy_says_so(own, books_of) -> None:
    books: Books = books_of(own)
    status, _, body = ask(own, "dear", LONG)
    assert status == 402
    error = json.loads(body)["error"]
    assert error["code"] == "policy_refused"
    assert "policy never: it is expected to cost 0.05" in error["message"]
    asked = {"model": "dear", "max_tokens": 60, "messages": [{"role": "user", "content": LONG}]}
    status, _, body = own.anthropic("/messages", asked)
    assert (status, json.loads(body)["type"]) == (402, "error")
    status, headers, _ = ask(own, "dear", LONG[: len(LONG) // 2])
    assert status == 200
    assert headers["x-farebox-route"].startswith("policy look: ")
    books.exact(1)


def test_a_flag_moves_traffic_until_it_is_cleared(own) -> None:
    def answered_by(model: str) -> float:
        start_s = time.monotonic()
        while ask(own, "smart")[1]["x-farebox-model"] != model:
            assert time.monotonic() - start_s < 10
        return time.monotonic() - start_s

    run = CliRunner().invoke
    options = ["--data-dir", str(own.data_dir)]
    assert ask(own, "smart")[1]["x-farebox-model"] == "gpt-4o"
    assert run(cli, ["flags", "set", "team:search", "--reason", "ten times the usual", *options]).exit_code == 0
    assert answered_by("gpt-4o-mini") < 1.0
    assert "team:search is flagged: ten times the usual" in ask(own, "smart")[1]["x-farebox-route"]
    listed = json.loads(run(cli, ["flags", "list", "--json", *options]).output)["flags"]
    assert [(flag["scope"], flag["source"]) for flag in listed] == [("team:search", "operator")]
    assert run(cli, ["flags", "clear", "team:search", *options]).exit_code == 0
    assert answered_by("gpt-4o") < 1.0
    assert run(cli, ["flags", "clear", "team:search", *options]).exit_code == 2
    assert run(cli, ["flags", "set", "nonsense", *options]).exit_code == 2
    assert run(cli, ["flags", "set", "key:ci", "--for", "soon", *options]).exit_code == 2


def test_a_budget_near_its_cap_moves_traffic(own) -> None:
    cap = ["model:budgeted", "--amount", "0.05", "--window", "day", "--data-dir", str(own.data_dir)]
    assert CliRunner().invoke(cli, ["budgets", "set", *cap]).exit_code == 0
    models = []
    for _ in range(150):
        status, headers, _ = ask(own, "budgeted")
        models.append(headers.get("x-farebox-model") if status == 200 else status)
        if models[-1] == "gpt-4o-mini":
            break
        time.sleep(0.03)  # a call of a real client would not come at once, either
    assert models[0] == "gpt-4o"
    assert models[-1] == "gpt-4o-mini", models
    assert "model:budgeted has used" in headers["x-farebox-route"]


@pytest.mark.parametrize("then", ["flag", "refuse"])
def test_an_answer_that_comes_to_cost_too_much(start, books_of, then) -> None:
    gateway = start(then)
    books: Books = books_of(gateway)
    _, _, body = ask(gateway, "running", stream=True)
    (attempt,) = books.attempts(1)
    if then == "flag":
        assert body.rstrip().endswith(b"[DONE]")
        assert (attempt.done.outcome, attempt.done.flags) == ("ok", ("over_threshold",))
        assert attempt.done.total_femto == attempt.billed_femto > 10**11
        assert "policy long-answers" in gateway.errors.read_text()
    else:
        assert b"cost_threshold" in body
        assert attempt.done.outcome == "cut"
        assert "over_threshold" in attempt.done.flags


def test_work_that_can_wait_is_kept_from_real_time_targets(own, books_of) -> None:
    books: Books = books_of(own)
    assert ask(own, "slow-lane")[1]["x-farebox-model"] == "gpt-4o"
    _, headers, body = ask(own, "slow-lane", x_farebox_criticality="sheddable")
    assert headers["x-farebox-model"] == "gpt-5-mini"
    assert json.loads(body)["service_tier"] == "flex"
    _, flex = books.exact(2)
    assert (flex.sent.asked_tier, flex.done.service_tier) == ("flex", "flex")
    assert all("flex" in line.rate for line in flex.done.lines)
