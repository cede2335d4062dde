"""Simulated providers for each test, and the official SDKs pointed at them."""

import http.client
import json
import runpy
from pathlib import Path

import anthropic
import openai
import pytest

from farebox.simulate.run import ProvidersInThread

VALIDATOR = Path(__file__).parents[3] / "shared" / "tools" / "validate_openai.py"


class Hands:
    """Plain HTTP without any SDK, for bodies and headers that an SDK would not send."""

    def __init__(self, sim):
        self.sim = sim

    def request(self, method, path, body=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.sim.port, timeout=10)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **dict(headers)}
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def openai(self, path, body, headers=()):
        return self.request("POST", path, body, {"authorization": "Bearer sk-test", **dict(headers)})

    def anthropic(self, path, body, headers=()):
        keys = {"x-api-key": "sk-ant-test", "anthropic-version": "2023-06-01"}
        return self.request("POST", path, body, {**keys, **dict(headers)})

    def order(self, path, body=None):
        status, _, answer = self.request("GET" if body is None else "POST", f"/_simulate/{path}", body)
        return status, json.loads(answer)


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self):
        self.now_s = 1_792_000_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sim(tmp_path, clock):
    with ProvidersInThread(bill_path=tmp_path / "bill.jsonl", clock=clock) as providers:
        yield providers


@pytest.fixture
def hands(sim):
    return Hands(sim)


@pytest.fixture
def gpt(sim):
    with openai.OpenAI(base_url=sim.openai_url, api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(sim):
    with anthropic.Anthropic(base_url=sim.anthropic_url, api_key="sk-ant-test", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def validator():
    """OpenAI's own OpenAPI document as a judge of bodies and streams."""
    if not VALIDATOR.exists():
        pytest.skip("OpenAI's OpenAPI document is not beside this checkout")
    pytest.importorskip("jsonschema", reason="jsonschema is needed to read OpenAI's OpenAPI document")
    return runpy.run_path(str(VALIDATOR))["Validator"](VALIDATOR.parent / "../data/openapi/openapi.json")
