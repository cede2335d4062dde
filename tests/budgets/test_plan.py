"""Which budgets a call is under."""

from farebox.budgets.account import Account, Payer, path_of
from farebox.budgets.plan import Budget, Plan
from farebox.budgets.window import read_window

DAY = read_window("day")


def budget(name: str, account: Account) -> Budget:
    return Budget(name, account, "usd", DAY, 100)


def test_the_budgets_of_a_path_come_from_the_widest_account_down() -> None:
    plan = Plan(
        [
            budget("k", Account("key", "ci")),
            budget("b", Account("org")),
            budget("a", Account("org")),
            budget("t", Account("team", "search")),
            budget("other", Account("team", "ads")),
        ]
    )
    path = path_of(Payer("search", "", "ci", "", {}, "gpt-5"))
    assert [found.id for found in plan.matching(path)] == ["a", "b", "t", "k"]
    assert plan.matching(path_of(Payer("", "", "", "", {}, ""))) == (plan.by_id["a"], plan.by_id["b"])
    assert plan
    assert not Plan([])
