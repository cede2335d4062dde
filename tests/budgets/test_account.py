"""Accounts: how they are written, and which a call is charged to."""

import pytest

from farebox.budgets.account import read_account
from farebox.errors import ConfigError


@pytest.mark.parametrize(
    "text", ["org", "team:search", "project:p 1", "key:ci", "user:u:1", "tag:feature=chat", "model:gpt-5", "provider:a"]
)
def test_an_account_is_written_as_it_is_read(text: str) -> None:
    assert str(read_account(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there are org, team:NAME"),
        ("group:x", "tag:KEY=VALUE"),
        ("org:x", "there is one organisation"),
        ("team", "team needs a name"),
        ("team:", "team needs a name"),
        ("team:\n", "team needs a name"),
        (f"team:{'x' * 257}", "team needs a name"),
        ("tag:feature", "`tag:KEY=VALUE`"),
        ("tag:=chat", "`tag:KEY=VALUE`"),
        ("tag:feature=", "`tag:KEY=VALUE`"),
    ],
)
def test_what_is_no_account_says_what_one_looks_like(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_account(text)
    assert words in str(refused.value)
