"""Who is calling: a virtual key to its holder. Pure: keys come in as a snapshot of digests.

A key is looked up by HMAC-SHA256(pepper, key). Without the pepper, which is not in the database, a digest
cannot be computed, so neither a copy of the database nor the timing of the lookup helps to guess a key.
"""

import hmac

import msgspec

from farebox.errors import Unauthorized


class Caller(msgspec.Struct, frozen=True):
    """The holder of a key; id and name are "" for open access, team and project where it has none."""

    key: str
    name: str
    team: str = ""
    project: str = ""


OPEN = Caller("", "")


class KeyRing(msgspec.Struct, frozen=True):
    """A snapshot of the keys that are valid.

    Attributes:
        pepper: the secret half of the digest.
        callers: holder by digest.
        open: whether calls without a valid key are accepted: only where no key was ever created.
        seen: valid keys that were presented, so that each is digested once a snapshot; it dies with the snapshot.
    """

    pepper: bytes
    callers: dict[bytes, Caller]
    open: bool
    seen: dict[str, Caller] = msgspec.field(default_factory=dict)


def digest(pepper: bytes, key: str) -> bytes:
    """Return the digest under which a key is stored."""
    return hmac.digest(pepper, key.encode(), "sha256")


def identify(ring: KeyRing, authorization: str | None, api_key: str | None) -> Caller:
    """Return who calls, given the ``authorization`` and ``x-api-key`` headers.

    Raises:
        Unauthorized: where no valid key is presented, or two different ones are.
    """
    bearer = None
    if authorization:
        scheme, _, credential = authorization.partition(" ")
        bearer = credential.strip() if scheme.lower() == "bearer" else None
    if ring.open:
        return OPEN
    presented = bearer or api_key
    if not presented:
        raise Unauthorized(
            "No API key was given. Send a Farebox key as 'Authorization: Bearer KEY' or 'x-api-key: KEY'; "
            "create one with 'farebox keys create NAME'.",
            code="missing_api_key",
        )
    if bearer and api_key and bearer != api_key:
        raise Unauthorized("Two different API keys were given, in 'Authorization' and 'x-api-key'. Send one.")
    caller = ring.seen.get(presented)
    if caller is None:
        caller = ring.callers.get(digest(ring.pepper, presented))
        if caller is None:
            raise Unauthorized("The API key is not valid: it is unknown to this gateway or was revoked.")
        ring.seen[presented] = caller
    return caller
