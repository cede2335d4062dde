"""One gateway with simulated providers and a ledger, for the cases that need one bad thing at the right moment."""

import contextlib
import http.client
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from farebox.budgets.account import Account, read_account
from farebox.budgets.authority import Status
from farebox.budgets.plan import Budget
from farebox.budgets.window import read_window
from farebox.money import femto_from_usd
from farebox.simulate.bill import BillRow, read_bill
from farebox.state.ledger_authority import LedgerAuthority
from tests.proof.gateway import Gateway, run_simulated
from tests.proof.ledger import Ledger
from tests.proof.load import CHATS
from tests.proof.storm import configure
from tests.proof.verdict import OnRecord, judge, read_records

LAB = Account("team", "lab")
_WITHIN_S = 15.0
_IN_FORCE_S = 1.0  # what is promised
# A machine that is busy with other tests is no reason to refuse a call of these.
_PATIENT = "\n[shedding]\nlag_ms = 60000\n"


class Answer(NamedTuple):
    """What a call came to."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error's code."""
        return str(json.loads(self.body)["error"]["code"])


class House:
    """A gateway, its ledger and its provider; see `open_house`."""

    def __init__(self, folder: Path, simulated: str, url: str | None, config: str, gateway: Mapping[str, Any]) -> None:
        self.bill: Path = folder / "bill.jsonl"
        self.simulated: str = simulated
        text = configure(simulated, url) + config.replace("SIMULATED", simulated) + _PATIENT
        self.gateway: Gateway = Gateway(folder, text, **gateway)
        self.gateway.data_dir.mkdir(exist_ok=True)
        self.ledger: Ledger = Ledger(self.gateway.data_dir, url, random.Random(1), ())
        self.authority: LedgerAuthority = self.ledger.authority

    def __enter__(self) -> Self:
        self.gateway.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.__exit__()
        self.authority.close()

    def cap(self, usd: str, account: Account = LAB, window: str = "lifetime") -> Budget:
        """Cap an account, hard; it is in force when this returns."""
        budget = self.authority.put(Budget("", account, "usd", read_window(window), femto_from_usd(usd)))
        time.sleep(_IN_FORCE_S)
        return budget

    def call(self, team: str = "lab", wishes: Mapping[str, object] | None = None, **fields: Any) -> Answer:
        """Chat for the team ``lab``, or for one that no budget knows; wishes are the simulated provider's."""
        content = f"Say a word. [[simulate {json.dumps(wishes or {})}]]"
        body = {"model": CHATS, "messages": [{"role": "user", "content": content}], "max_tokens": 20, **fields}
        key = "fbx-gamma" if team == "lab" else "fbx-alpha"
        return self.post("/v1/chat/completions", body, key)

    def answers(self, *statuses: int, team: str = "lab") -> bool:
        """Whether calls are answered so and in no other way: by every worker, as far as a dozen calls can tell."""
        with contextlib.suppress(OSError):
            return all(self.call(team=team).status in statuses for _ in range(12))
        return False

    def post(self, path: str, body: object, key: str = "fbx-gamma", headers: Mapping[str, str] | None = None) -> Answer:
        """Post a body on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=40)
        with contextlib.closing(connection):
            given = {"content-type": "application/json", "authorization": f"Bearer {key}", **(headers or {})}
            connection.request("POST", path, json.dumps(body).encode(), given)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def tell_provider(self, settings: Mapping[str, object]) -> None:
        """Set how the simulated providers answer from now on."""
        host, _, port = self.simulated.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", "/_simulate/config", json.dumps(settings).encode())
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()

    def rows(self) -> list[BillRow]:
        """What the provider bills so far."""
        return read_bill(self.bill) if self.bill.exists() else []

    def records(self) -> dict[str, OnRecord]:
        """What is on record so far."""
        return read_records([self.gateway.data_dir])

    def standing(self, account: Account = LAB) -> Status:
        """How an account's only budget stands."""
        (status,) = self.authority.status(account)
        return status

    def finish(self) -> list[str]:
        """Stop the gateway in order and return what is wrong with bill, records and ledger."""
        assert self.gateway.stop() == 0
        self.ledger.look()
        found = sorted(self.ledger.findings)
        return found + judge(self.rows(), self.records(), self.ledger.standings())


@contextlib.contextmanager
def open_house(
    folder: Path, url: str | None = None, config: str = "", usd: str = "1", **gateway: Any
) -> Iterator[House]:
    """Run a house whose team ``lab`` has so much to spend; its gateway is started, and everything gone at the end.

    Args:
        folder: for everything.
        url: of the ledger, or None for a file.
        config: more of the configuration; SIMULATED in it is the provider's address.
        usd: what the team may spend in its lifetime.
        gateway: more for `Gateway`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with run_simulated(folder / "bill.jsonl") as simulated:
        house = House(folder, simulated, url, config, gateway)
        house.authority.put(Budget("", LAB, "usd", read_window("lifetime"), femto_from_usd(usd)))
        with house:
            yield house


def until(condition: Callable[[], object], seconds: float = _WITHIN_S) -> None:
    """Wait until something has come true."""
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s, "it does not come true"
        time.sleep(0.02)


def account(text: str) -> Account:
    """Return an account by its text."""
    return read_account(text)
