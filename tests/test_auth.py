"""Who is calling: keys are found by their digest, and nothing but a valid key passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.auth import OPEN, Caller, KeyRing, digest, identify
from farebox.errors import Unauthorized

PEPPER = b"a pepper of sixteen bytes"
ADA = Caller("k1", "ada")
BOB = Caller("k2", "bob")


def ring(**changes) -> KeyRing:
    callers = {digest(PEPPER, "ada's"): ADA, digest(PEPPER, "bob's"): BOB}
    return KeyRing(**{"pepper": PEPPER, "callers": callers, "open": False, **changes})


@pytest.mark.parametrize(
    ("authorization", "api_key", "caller"),
    [
        ("Bearer ada's", None, ADA),
        ("bearer  ada's ", None, ADA),
        (None, "bob's", BOB),
        ("Bearer bob's", "bob's", BOB),
        ("Basic eDp5", "bob's", BOB),
        ("", "bob's", BOB),
    ],
)
def test_valid_keys(authorization, api_key, caller) -> None:
    same = ring()
    for _ in range(2):  # the second time it has been seen
        assert identify(same, authorization, api_key) == caller


@pytest.mark.parametrize(
    ("authorization", "api_key", "code"),
    [
        (None, None, "missing_api_key"),
        ("", "", "missing_api_key"),
        ("Bearer", None, "missing_api_key"),
        ("Bearer ", None, "missing_api_key"),
        ("Basic ada's", None, "missing_api_key"),
        ("ada's", None, "missing_api_key"),
        ("Bearer eve's", None, "invalid_api_key"),
        ("Bearer ADA'S", None, "invalid_api_key"),
        (None, "ada's ", "invalid_api_key"),
        ("Bearer ada's", "bob's", "invalid_api_key"),
        ("Bearer ada's, Bearer ada's", None, "invalid_api_key"),
    ],
)
def test_refused_keys(authorization, api_key, code) -> None:
    with pytest.raises(Unauthorized) as caught:
        identify(ring(), authorization, api_key)
    assert (caught.value.status, caught.value.code) == (401, code)
    assert "ada" not in caught.value.message


def test_open_access_needs_no_key_and_looks_at_none() -> None:
    open_ring = ring(callers={}, open=True)
    assert identify(open_ring, None, None) == identify(open_ring, "Bearer anything", "other") == OPEN


def test_a_new_snapshot_knows_nothing_of_keys_seen_before() -> None:
    before = ring()
    assert identify(before, "Bearer ada's", None) == ADA
    with pytest.raises(Unauthorized):
        identify(ring(callers={}), "Bearer ada's", None)


@given(st.text(max_size=30))
def test_no_other_text_is_a_key(text) -> None:
    if text in {"ada's", "bob's"}:
        return
    with pytest.raises(Unauthorized):
        identify(ring(), None, text)


def test_the_pepper_is_half_of_the_digest() -> None:
    assert digest(PEPPER, "key") != digest(PEPPER[:-1], "key")
    assert len(digest(PEPPER, "key")) == 32
