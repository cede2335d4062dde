import json

import pytest
from click.testing import CliRunner

from farebox.cli.replay import replay

TRACE = "2023-11-16 18:00:00,50,5\n2023-11-16 18:00:01,60,6\nnonsense,1,1\n"


@pytest.fixture
def call(gateway, trace_file):
    def invoke(*options, text=TRACE, trace_format="azure"):
        path = trace_file(text)
        arguments = [str(path), "--format", trace_format, "--speed", "max", "--url", gateway.url, *options]
        return CliRunner().invoke(replay, arguments)

    return invoke


def test_table(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = call("--key", "sk-3")
    assert result.exit_code == 0
    assert "2 x 200" in result.stdout
    assert "not replayed: 1 x TIMESTAMP is not a date" in result.stdout.replace("\n", " ")
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_json(call):
    result = call("--json")
    summary = json.loads(result.stdout)
    assert (summary["calls"], summary["failed"], summary["asked_input_tokens"]) == (2, 0, 110)
    assert list(summary["rejected"].values()) == [{"rows": 1, "first_line": 3}]
    assert result.stderr == ""


def test_failed_calls_end_with_1_unless_allowed(call, gateway):
    gateway.script = lambda asked: "429"
    result = call()
    assert result.exit_code == 1
    assert "2 x http status, first: 429: told to answer 429" in result.stdout
    assert call("--allow-errors").exit_code == 0


def test_nothing_to_replay_ends_with_1(call):
    result = call(text="nonsense\n")
    assert result.exit_code == 1
    assert "No row of" in result.stderr


def test_key_from_the_environment(call, gateway, monkeypatch):
    monkeypatch.setenv("FAREBOX_KEY", "sk-4")
    call()
    assert gateway.asked[0].headers["authorization"] == "Bearer sk-4"


BURSTGPT = "5,ChatGPT,10,5,15,API log\n6,GPT-4,10,5,15,API log\n"


@pytest.mark.parametrize(
    ("options", "models"),
    [
        ((), {"gpt-4o-mini", "gpt-4o"}),
        (("--model", "m"), {"m"}),
        (("--model", "GPT-4=big", "--model", "m"), {"big", "m"}),
        (("--model", "GPT-4=big"), {"big", "ChatGPT"}),
    ],
)
def test_models(call, gateway, options, models):
    call(*options, text=BURSTGPT, trace_format="burstgpt")
    assert {asked.body["model"] for asked in gateway.asked} == models


def test_retry_without_a_number_is_five(call, gateway, monkeypatch):
    monkeypatch.setattr("farebox.replay.client.FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("farebox.replay.client.LONGEST_PAUSE_S", 0.001)
    gateway.script = lambda asked: "close"
    assert json.loads(call("--json", "--retry").stdout)["retries"] == 10
    assert json.loads(call("--json", "--retry", "1").stdout)["retries"] == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--speed", "fast"), "neither a number nor max"),
        (("--speed", "-1"), "speed must be a number above 0"),
        (("--url", "nowhere"), "is not the address of a gateway"),
        (("--stream-share", "2"), "--stream-share"),
    ],
)
def test_bad_usage_ends_with_2(call, options, says):
    result = call(*options)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_trace_that_is_not_there():
    result = CliRunner().invoke(replay, ["no-such-trace.csv", "--format", "azure"])
    assert result.exit_code == 2
    assert "no-such-trace.csv" in result.stderr
