"""Case 18: the same call many times under one idempotency key, over several workers, their death included."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest

from tests.proof.house import House, open_house, until
from tests.proof.load import CHATS

SLOW = '[[simulate {"latency_ms": 1500}]]'


def ask(house: House, key: str, content: str = "Say a word.", **fields: object):
    body = {"model": CHATS, "messages": [{"role": "user", "content": content}], "max_tokens": 20, **fields}
    return house.post("/v1/chat/completions", body, headers={"idempotency-key": key})


def test_case_18_one_request_and_one_charge(tmp_path, ledger_url):
    with open_house(tmp_path, ledger_url, workers=3) as house, ThreadPoolExecutor(20) as threads:
        assert house.call().status == 200
        for stream in (False, True):
            billed = len(house.rows())
            answers = list(threads.map(lambda _, stream=stream: ask(house, f"k{stream}", stream=stream), range(20)))
            assert {answer.code for answer in answers if answer.status not in {200, 409}} == set()
            later = ask(house, f"k{stream}", stream=stream)
            assert later.headers["x-farebox-replayed"] == "true"
            assert {answer.body for answer in answers if answer.status == 200} == {later.body}
            assert {answer.code for answer in answers if answer.status == 409} <= {"idempotency_in_flight"}
            changed = ask(house, f"k{stream}", "Say another.", stream=stream)
            assert (changed.status, changed.code) == (422, "idempotency_mismatch")
            assert len(house.rows()) == billed + 1
        assert house.finish() == []


@pytest.mark.parametrize("victims", ["farebox.worker", "everything"])
def test_case_18_death_in_the_middle(tmp_path, victims):
    """Sent and then killed: the retry is told that the answer is lost, and nothing is sent again."""
    with open_house(tmp_path, workers=2) as house, ThreadPoolExecutor(1) as threads:
        assert house.call().status == 200
        billed = len(house.rows())
        first = threads.submit(ask, house, "k", SLOW)
        until(lambda: len(house.rows()) == billed + 1)
        if victims == "everything":
            pids = house.gateway.children()
            house.gateway.kill()
        else:
            pids = house.gateway.pids(victims)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert isinstance(first.exception(), HTTPException | ConnectionError)
        if victims == "everything":
            house.gateway.start()
        until(lambda: _is_back(house))
        billed = len(house.rows())
        for _ in range(3):
            again = ask(house, "k", SLOW)
            assert (again.status, again.code) == (409, "idempotency_lost")
            assert again.headers["x-should-retry"] == "false"
        assert len(house.rows()) == billed
        assert ask(house, "another", SLOW).status == 200
        assert house.finish() == []


def _is_back(house: House) -> bool:
    try:
        return house.call().status == 200
    except (HTTPException, ConnectionError):
        return False
