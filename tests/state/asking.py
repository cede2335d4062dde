"""What tests ask of an authority, in few words."""

from farebox.budgets.account import Account
from farebox.budgets.authority import Authority, Granted, Share, Total, Want
from farebox.budgets.plan import Budget
from farebox.budgets.window import read_window

ORG = Account("org")
TEAM = Account("team", "search")
HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * HOUR_NS
TODAY = "2026-11-24"


def put(authority: Authority, account=ORG, limit=1_000, window="day", **fields) -> Budget:
    zone = fields.pop("zone", "UTC")
    return authority.put(Budget("", account, fields.pop("unit", "usd"), read_window(window, zone), limit, **fields))


def grant_one(authority: Authority, writer, budget, need) -> Share:
    granted = authority.grant(writer, [Want(budget.id, need)])
    assert isinstance(granted, Granted), granted
    (share,) = granted.shares
    return share


def spend(authority: Authority, writer, budget, amount, hold=None) -> Share:
    """Take a hold, spend some of it and give the rest back."""
    share = grant_one(authority, writer, budget, amount if hold is None else hold)
    spent = share.spent + amount
    total = Total(budget.id, share.span.id, spent, max(share.released, share.granted - spent), share.granted)
    (after,) = authority.report(writer, [total]).shares
    return after


def status_of(authority, account=ORG):
    (status,) = authority.status(account)
    return status


def figures(authority, account=ORG) -> tuple[int, int, int, bool]:
    status = status_of(authority, account)
    return status.posted, status.held, status.overdraft, status.closed
