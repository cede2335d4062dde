"""``farebox budgets``, ``limits`` and ``wallets``: what people type and read, against a real ledger."""

import json

import pytest
from click.testing import CliRunner

from farebox.budgets.account import Account
from farebox.budgets.authority import Granted, Total, Want
from farebox.cli.main import cli
from farebox.money import femto_from_usd
from farebox.state.ledger_authority import open_authority


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def invoke(*words, code=0):
        result = CliRunner().invoke(cli, [*words], env={"FAREBOX_DATA_DIR": str(tmp_path / "data")})
        raised = result.exception
        if code == 2 and raised is not None and not isinstance(raised, SystemExit):
            return str(raised)
        assert result.exit_code == code, (result.output, raised)
        return result.output

    return invoke


@pytest.fixture
def ledger(tmp_path):
    (tmp_path / "data").mkdir()
    opened = open_authority(tmp_path / "data")
    yield opened
    assert opened.check() == []
    opened.close()


def spend(ledger, account, usd, hold="0"):
    (status,) = ledger.status(account)
    amount, held = femto_from_usd(usd), femto_from_usd(hold)
    granted = ledger.grant("w", [Want(status.budget.id, amount + held)])
    assert isinstance(granted, Granted)
    (share,) = granted.shares
    ledger.report("w", [Total(status.budget.id, share.span.id, amount, share.granted - amount - held, share.granted)])


def test_the_contract_of_show(run, ledger):
    run("budgets", "set", "team:search", "--amount", "12.50", "--window", "day")
    spend(ledger, Account("team", "search"), "0.25", "1.5")
    shown = json.loads(run("budgets", "show", "team:search", "--json"))
    wanted = {"limit_usd": "12.5", "posted_usd": "0.25", "held_usd": "1.5", "overdraft_usd": "0"}
    assert wanted.items() <= shown.items()
    assert shown["window_start"].endswith("T00:00:00.000Z")
    assert shown["window_start"] < shown["window_end"]
    assert shown["remaining_usd"] == "10.75"
    assert [one["id"] for one in shown["budgets"]] == [shown["id"]]


def test_a_lifetime_has_no_ends(run):
    run("budgets", "set", "org", "--amount", "1", "--window", "lifetime")
    shown = json.loads(run("budgets", "show", "org", "--json"))
    assert (shown["window_start"], shown["window_end"]) == (None, None)


@pytest.mark.parametrize(
    "account",
    ["org", "team:a", "project:p", "key:k", "user:u@example.org", "tag:env=prod", "model:gpt-5", "provider:openai"],
)
@pytest.mark.parametrize("window", ["hour", "day", "week", "month", "lifetime", "rolling:5h"])
def test_every_account_and_window(run, account, window):
    placed = json.loads(run("budgets", "set", account, "--amount", "3", "--window", window, "--json"))
    assert (placed["account"], placed["window"], placed["limit_usd"], placed["hard"]) == (account, window, "3", True)


def test_setting_it_again_changes_it(run):
    first = json.loads(run("budgets", "set", "org", "--amount", "3", "--json"))
    words = ("--amount", "4", "--soft", "--alert", "80", "--alert", "50", "--per-call", "0.5", "--json")
    second = json.loads(run("budgets", "set", "org", *words))
    assert first["id"] == second["id"]
    assert (second["limit_usd"], second["hard"], second["alerts"]) == ("4", False, [50, 80])
    assert second["per_call_usd"] == "0.5"
    assert len(json.loads(run("budgets", "list", "--json"))) == 1


def test_another_currency_is_converted_at_its_dated_rate_and_says_so(run):
    placed = json.loads(run("budgets", "set", "org", "--amount", "100", "--currency", "EUR", "--json"))
    amount, currency, _, rate, *_, day = placed["stated"].split()
    assert (amount, currency, len(day)) == ("100", "EUR", 10)
    assert femto_from_usd(placed["limit_usd"]) == 100 * femto_from_usd(rate)
    assert "EUR at" in run("budgets", "set", "org", "--amount", "100", "--currency", "EUR")


def test_tables_fit_and_name_what_matters(run, ledger):
    run("budgets", "set", "team:search", "--amount", "20", "--window", "day", "--zone", "Europe/Berlin")
    spend(ledger, Account("team", "search"), "5")
    table = run("budgets", "list")
    assert max(map(len, table.splitlines())) <= 80
    for words in ("team:search", "$20.00/day", "Europe/Berlin", "$5.00", "$15.00", "25.0%", "open"):
        assert words in table
    assert "posted" in run("budgets", "movements", "team:search")


def test_reset_and_remove(run, ledger):
    run("budgets", "set", "org", "--amount", "20", "--window", "day")
    spend(ledger, Account("org"), "5")
    run("budgets", "reset", "org")
    assert json.loads(run("budgets", "show", "org", "--json"))["posted_usd"] == "0"
    run("budgets", "remove", "org", "--window", "day")
    run("budgets", "show", "org", code=1)
    run("budgets", "remove", "org", "--window", "day", code=1)
    run("budgets", "reset", "org", code=1)
    assert json.loads(run("budgets", "check", "--json")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "group:x", "--amount", "3"), "there are org, team:NAME"),
        (("set", "org", "--amount", "x"), "amount: not an amount of money"),
        (("set", "org", "--amount", "-1"), "amount: -1 is negative"),
        (("set", "org", "--amount", "3", "--window", "year"), "there are minute, hour, day"),
        (("set", "org", "--amount", "3", "--zone", "Mars"), "no IANA time zone"),
        (("set", "org", "--amount", "3", "--currency", "XXX"), "'XXX' has no rate"),
        (("show", "team"), "team needs a name"),
    ],
)
def test_what_cannot_be_says_why(run, words, said):
    assert said in run("budgets", *words, code=2)


def test_a_ledger_that_cannot_be_reached_says_what_to_do(run):
    said = run("budgets", "list", "--ledger", "postgresql://127.0.0.1:1/none", code=1)
    assert "cannot be reached" in said
    assert "--ledger" in said


def test_limits(run):
    run("limits", "set", "key:ci", "--requests", "60", "--tokens", "10000", "--concurrency", "4")
    found = {one["unit"]: one for one in json.loads(run("limits", "list", "--json"))}
    assert {unit: (one["limit"], one["window"]) for unit, one in found.items()} == {
        "requests": (60, "minute"),
        "tokens": (10_000, "minute"),
        "concurrency": (4, "lifetime"),
    }
    assert "60 requests/minute" in run("limits", "list")
    run("limits", "remove", "key:ci", "requests")
    run("limits", "remove", "key:ci", "requests", code=1)
    assert len(json.loads(run("limits", "list", "--json"))) == 2
    assert "Say what is limited" in run("limits", "set", "key:ci", code=2)


def test_a_wallet_and_its_statement(run, ledger):
    run("wallets", "top-up", "user:ada", "10", "--note", "invoice 7")
    spend(ledger, Account("user", "ada"), "2.5")
    run("wallets", "top-up", "user:ada", "--", "-1.25")
    lines = json.loads(run("wallets", "statement", "user:ada", "--json"))
    assert [(line["kind"], line["amount_usd"], line["balance_usd"]) for line in lines][:3] == [
        ("top_up", "-1.25", "6.25"),
        ("posted", "2.5", "7.5"),
        ("top_up", "10", "10"),
    ]
    assert lines[2]["note"] == "invoice 7"
    (wallet,) = json.loads(run("wallets", "show", "user:ada", "--json"))
    assert (wallet["limit_usd"], wallet["remaining_usd"], wallet["wallet"]) == ("8.75", "6.25", True)
    assert "6.25 USD" not in run("wallets", "statement", "user:ada")
    assert "only" in run("wallets", "top-up", "user:ada", "--", "-7", code=2)
    assert "no amount" in run("wallets", "top-up", "user:ada", "1e5", code=2)
    run("wallets", "show", "user:nobody", code=1)


CONFIG = """
[[budgets]]
account = "org"
amount = "250"
alerts = [80, 50]

[[budgets]]
account = "key:ci"
unit = "requests"
limit = 60
window = "minute"
"""


def test_budgets_of_the_configuration_are_aligned(run, tmp_path):
    (tmp_path / "farebox.toml").write_text(CONFIG)
    found = {one["account"]: one for one in json.loads(run("budgets", "list", "--json"))}
    assert (found["org"]["limit_usd"], found["org"]["window"], found["org"]["source"]) == ("250", "month", "config")
    (tmp_path / "farebox.toml").write_text(CONFIG.split("[[budgets]]", 2)[2].join(["[[budgets]]", ""]))
    assert json.loads(run("budgets", "list", "--json")) == []
    assert len(json.loads(run("limits", "list", "--json"))) == 1


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('account = "org"', "budgets[0] (org): amount"),
        ('account = "org"\namount = 2.5', "budgets[0]"),
        ('account = "org"\namount = "3"\nlimit = 4', "limit is for other units"),
        ('account = "org"\nunit = "requests"\namount = "3"', "limit: how many requests"),
        ('account = "orgs"\namount = "3"', "'orgs' is no account"),
        ('account = "org"\namount = "3"\nwindow = "year"', "window 'year'"),
        ('account = "org"\namount = "3"\nunit = "bananas"', "unit: 'bananas'"),
    ],
)
def test_a_table_that_is_wrong_names_its_key(run, tmp_path, table, said):
    (tmp_path / "farebox.toml").write_text(f"[[budgets]]\n{table}\n")
    assert said in run("budgets", "list", code=2)
