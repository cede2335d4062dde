"""What a process of a crowd does to the authority: it takes holds, spends and gives back, as fast as it can."""

import os
import random
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from farebox.budgets.authority import Authority, Granted, Share, Total, Want
from farebox.state.ledger_authority import open_authority


def spend_some(data_dir: Path, url: str | None, name: str, seed: int, rounds: int, told: Connection) -> None:
    """Charge budgets in random order for some rounds (0: until killed); tell every total before the ledger is told.

    What is told is [(budget, span, total)], and in the end the number of refusals.
    """
    chance = random.Random(seed)
    authority = open_authority(data_dir, url)
    budgets = [budget.id for budget in authority.budgets()]
    refused = turn = 0
    while not rounds or turn < rounds:
        turn += 1
        chosen = chance.sample(budgets, chance.randint(1, len(budgets)))
        need = chance.randint(1, 40)
        answer = authority.grant(name, [Want(budget, need) for budget in chosen])
        if not isinstance(answer, Granted):
            refused += 1
            continue
        spent = chance.randint(0, need)
        told.send([(share.budget, share.span.id, share.spent + spent) for share in answer.shares])
        authority.report(name, [_end(share, spent) for share in answer.shares])
    told.send(refused)
    authority.close()


def _end(share: Share, spent: int) -> Total:
    """Settle a hold and give everything back that is not spent."""
    total = share.spent + spent
    return Total(share.budget, share.span.id, total, share.granted - total, share.granted)


def die_inside(data_dir: Path, url: str | None, what: str, wants: list[Want]) -> None:
    """Be killed in the middle of a transaction, when its statements are done and it is not committed."""
    authority: Authority = open_authority(data_dir, url)
    store = authority._store  # type: ignore[attr-defined]
    attempt = store._attempt

    def killed(begin: str, *arguments):
        *some, work = arguments

        def work_and_die(rows):
            work(rows)
            os.kill(os.getpid(), signal.SIGKILL)

        return attempt(begin, *some, work_and_die)

    store._attempt = killed
    if what == "grant":
        authority.grant("dying", wants)
    elif what == "report":
        authority.report("dying", [Total(want.budget, "2026-11-24", want.need, 0, want.need) for want in wants])
    else:
        authority.close_writer("w1", [])
