"""Which budgets a call is under."""

from farebox.budgets.account import Account, Payer, read_account
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
    payer = Payer("search", "", "ci", "", {}, "gpt-5")
    assert [found.id for found in plan.matching(payer)] == ["a", "b", "t", "k"]
    assert plan.matching(Payer("", "", "", "", {}, "")) == (plan.by_id["a"], plan.by_id["b"])
    assert plan
    assert not Plan([])


def test_every_kind_of_account_is_found() -> None:
    accounts = [
        "team:t",
        "project:p",
        "key:k",
        "user:u",
        "tag:a=b",
        "model:fast",
        "model:gpt-5",
        "provider:openai",
    ]
    plan = Plan([budget(text, read_account(text)) for text in reversed(accounts)])
    payer = Payer("t", "p", "k", "u", {"a": "b", "other": "x"}, "fast")
    assert [found.id for found in plan.matching(payer, "openai", "gpt-5")] == accounts
    assert plan.matching(Payer("", "", "", "", {"env": "dev"}, "slow"), "azure", "slow") == ()


def test_a_model_asked_for_by_its_own_name_is_charged_once() -> None:
    plan = Plan([budget("m", Account("model", "gpt-5"))])
    assert len(plan.matching(Payer("", "", "", "", {}, "gpt-5"), "openai", "gpt-5")) == 1
