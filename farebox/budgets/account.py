"""Who spends: the accounts that a call is charged to, and how people write them.

A call has a path of accounts, from the organisation down to the provider, and is charged to all of them or to none.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from farebox.errors import ConfigError

Kind = Literal["org", "team", "project", "key", "user", "tag", "model", "provider"]
# From the widest to the narrowest: the order in which accounts are named, locked and reported.
KINDS: tuple[Kind, ...] = ("org", "team", "project", "key", "user", "tag", "model", "provider")
_MAX_NAME = 256


class Account(msgspec.Struct, frozen=True, order=True):
    """One account.

    Attributes:
        kind: what it is.
        name: "" for the organisation; ``key=value`` for a tag.
    """

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


class Payer(msgspec.Struct, frozen=True):
    """What is known of a call before it is routed.

    Attributes:
        team: name of the key's team, or "".
        project: name of the key's project, or "".
        key: name of the key, or "" for open access.
        user: the end user the client named, or "".
        tags: the call's tags.
        model: the model that was asked for.
    """

    team: str
    project: str
    key: str
    user: str
    tags: Mapping[str, str]
    model: str


def read_account(text: str) -> Account:
    """Return the account that a text such as ``team:search`` or ``tag:feature=chat`` names.

    Raises:
        ConfigError: saying what an account looks like.
    """
    kind, colon, name = text.partition(":")
    for known in KINDS:
        if kind == known:
            break
    else:
        raise ConfigError(f"{text!r} is no account; there are {', '.join(map(_form, KINDS))}")
    if known == "org":
        if colon:
            raise ConfigError(f"{text!r}: there is one organisation, and its account is `org`")
        return Account("org")
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise ConfigError(f"{text!r}: {known} needs a name, as in `{known}:NAME`")
    if known == "tag" and not all(name.partition("=")[::2]):
        raise ConfigError(f"{text!r}: a tag's account is `tag:KEY=VALUE`")
    return Account(known, name)


def _form(kind: Kind) -> str:
    if kind == "org":
        return "org"
    return "tag:KEY=VALUE" if kind == "tag" else f"{kind}:NAME"
