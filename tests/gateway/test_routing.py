"""Routing through the gateway: a strategy chooses, the answer and the journal say why."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from farebox.money import usd_text

ASK = [{"role": "user", "content": "Tell me about trains."}]


def test_the_cheapest_target_answers_and_says_why(gateway, books):
    status, headers, _ = gateway.openai("/chat/completions", {"model": "cheapest", "messages": ASK, "max_tokens": 30})
    assert (status, headers["x-farebox-model"]) == (200, "gpt-4o-mini")
    assert headers["x-farebox-route"].startswith("cheapest: openai/gpt-4o-mini at about 0.0000")
    (attempted,) = books.exact()
    assert attempted.sent.route == headers["x-farebox-route"]


def test_what_is_left_out_is_said(gateway, books):
    body = {"model": "cheapest", "messages": ASK, "max_tokens": 30}
    status, _, answer = gateway.openai("/chat/completions", body, {"x-farebox-region": "mars"})
    error = json.loads(answer)["error"]
    assert (status, error["code"]) == (400, "no_target")
    assert "openai/gpt-4o: it is in no named region, not in mars" in error["message"]
    status, _, _ = gateway.openai("/chat/completions", body, {"x-farebox-criticality": "very"})
    assert status == 400


def test_a_cheapest_target_that_is_down_is_followed_by_the_next(gateway, books):
    status, headers, _ = gateway.openai(
        "/chat/completions", {"model": "cheapest-dead", "messages": ASK, "max_tokens": 30}
    )  # fmt: skip
    assert (status, headers["x-farebox-attempts"], headers["x-farebox-model"]) == (200, "2", "gpt-4o")


def test_a_model_without_a_choice_says_nothing(gateway):
    _, headers, _ = gateway.openai("/chat/completions", {"model": "gpt-4o-mini", "messages": ASK, "max_tokens": 5})
    assert "x-farebox-route" not in headers


@pytest.fixture
def explain(tmp_path):
    config = tmp_path / "farebox.toml"
    config.write_text("""
providers = [{ name = "openai", kind = "openai" }, { name = "eu", kind = "openai", region = "eu" }]
[[models]]
name = "smart"
strategy = "cheapest"
targets = [
  { provider = "openai", model = "gpt-4o" },
  { provider = "openai", model = "gpt-4o-mini" },
  { provider = "openai", model = "gpt-5-nano", when = { teams = ["search"] } },
]
""")

    def run(*words, body=None, code=0):
        command = [sys.executable, "-m", "farebox", "route", "explain", "--config", str(config), *words]
        if body is not None:
            request = tmp_path / "body.json"
            request.write_text(json.dumps(body))
            command += ["--request", str(request)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


def test_explain_lists_candidates_and_the_chosen_one(explain):
    body = {"messages": ASK, "max_tokens": 100}
    told = json.loads(explain("--model", "smart", "--json", body=body))
    assert told["chosen"] == "openai/gpt-4o-mini"
    assert [(one["provider"], one["model"], one["dropped_because"]) for one in told["candidates"]] == [
        ("openai", "gpt-4o-mini", None),
        ("openai", "gpt-4o", None),
        ("openai", "gpt-5-nano", "it is for the teams search"),
    ]
    # 6 tokens of input at 0.15 and 100 of output at 0.6 USD a million.
    assert told["candidates"][0]["expected_usd"] == usd_text(6 * 150_000_000 + 100 * 600_000_000)
    assert json.loads(explain("--model", "smart", "--team", "search", "--json"))["chosen"] == "openai/gpt-5-nano"
    assert "cheapest" in explain("--model", "smart", body=body)
    assert "does not exist here" in explain("--model", "nobody", code=2)
    assert "messages" in explain("--model", "smart", body={"max_tokens": 1}, code=2)
    assert "not in mars" in explain("--model", "smart", "--header", "x-farebox-region=mars", code=1)
