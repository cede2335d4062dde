"""Virtual keys: shown once, found by their digest, revoked for every process."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from farebox.auth import Caller, identify
from farebox.config.tables import Key
from farebox.errors import ConfigError, Unauthorized
from farebox.state.keys import KeyStore, load_pepper

PEPPER = b"0123456789abcdef"


@pytest.fixture
def store(tmp_path):
    return KeyStore(tmp_path, PEPPER)


def test_a_key_is_valid_until_it_is_revoked(store) -> None:
    before = store.version()
    row, key = store.create("ada", 7)
    assert key.startswith(f"fbx_{row.id}_")
    assert len(key) > 50
    assert store.version() != before
    assert identify(store.snapshot(()), f"Bearer {key}", None) == Caller(row.id, "ada")
    changed = store.version()
    assert store.revoke(row.id, 9) == store.list()[0]
    assert store.list()[0].revoked_ns == 9
    assert store.version() not in {before, changed}
    with pytest.raises(Unauthorized):
        identify(store.snapshot(()), f"Bearer {key}", None)


def test_another_process_sees_the_same_keys(store, tmp_path) -> None:
    _, key = store.create("ada", 7)
    other = KeyStore(tmp_path, PEPPER)
    assert identify(other.snapshot(()), None, key).name == "ada"
    assert other.version() == store.version()
    with pytest.raises(Unauthorized):
        identify(KeyStore(tmp_path, PEPPER[::-1]).snapshot(()), None, key)


def test_the_key_is_not_in_the_database(store) -> None:
    row, key = store.create("ada", 7)
    with closing(sqlite3.connect(store.path)) as database:
        dump = "\n".join(database.iterdump())
    secret = key.removeprefix(f"fbx_{row.id}_")
    assert row.id in dump
    assert secret not in dump
    assert secret.encode().hex().upper() not in dump.upper()


def test_open_access_ends_with_the_first_key_and_does_not_come_back(store) -> None:
    assert store.snapshot(()).open
    assert not store.snapshot([Key(name="c", key="s")]).open
    row, _ = store.create("ada", 7)
    assert not store.snapshot(()).open
    store.revoke(row.id, 8)
    assert not store.snapshot(()).open


def test_keys_of_the_configuration(store) -> None:
    ring = store.snapshot([Key(name="bench", key="secret")])
    assert identify(ring, "Bearer secret", None) == Caller("config:bench", "bench")


def test_revoking_by_name(store) -> None:
    first, _ = store.create("ada", 1)
    assert store.revoke("nobody", 2) is None
    revoked = store.revoke("ada", 3)
    assert revoked is not None
    assert revoked.id == first.id
    assert store.revoke("ada", 4) is None, "it is revoked already"
    twins = [store.create("bob", 5)[0], store.create("bob", 6)[0]]
    with pytest.raises(ConfigError, match=f"2 keys are named 'bob'.*{twins[0].id}, {twins[1].id}"):
        store.revoke("bob", 7)
    assert store.revoke(twins[1].id, 8).id == twins[1].id


def test_many_processes_at_once(tmp_path) -> None:
    def create(number):
        return KeyStore(tmp_path, PEPPER).create(f"key {number}", number)[1]

    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(create, range(24)))
    ring = KeyStore(tmp_path, PEPPER).snapshot(())
    assert [identify(ring, None, key).name for key in keys] == [f"key {number}" for number in range(24)]


def test_the_pepper_is_made_once_and_kept(tmp_path) -> None:
    with ThreadPoolExecutor(8) as threads:
        peppers = set(threads.map(lambda _: load_pepper(tmp_path, None), range(16)))
    assert len(peppers) == 1
    assert len(peppers.pop()) == 64
    assert (tmp_path / "pepper").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["pepper"]


def test_the_pepper_of_the_environment(tmp_path) -> None:
    assert load_pepper(tmp_path, "x" * 16) == b"x" * 16
    assert not (tmp_path / "pepper").exists()
    with pytest.raises(ConfigError, match="shorter than 16"):
        load_pepper(tmp_path, "short")


def test_a_damaged_pepper_is_not_used(tmp_path) -> None:
    (tmp_path / "pepper").write_bytes(b"")
    with pytest.raises(ConfigError, match="damaged"):
        load_pepper(tmp_path, None)
