"""What the tests of the authority share: both stores, and a clock that stands still."""

from collections.abc import Callable, Iterator

import pytest

from farebox.budgets.authority import Authority
from farebox.state.ledger_authority import open_authority
from tests.state.postgres_server import NoPostgres, PostgresServer, run_postgres

START_NS = 1_795_514_400_000_000_000  # 2026-11-24T10:00:00Z


class StandingClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.at_ns: int = START_NS

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    try:
        running = run_postgres()
        server = running.__enter__()
    except NoPostgres as why:
        pytest.skip(f"no Postgres: {why}")
    try:
        yield server
    finally:
        running.__exit__(None, None, None)


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request) -> str | None:
    """Where the ledger is: a clean database of the server, or None for a file."""
    if request.param == "sqlite":
        return None
    import psycopg  # noqa: PLC0415 -- an extra

    url: str = request.getfixturevalue("postgres").url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("DROP SCHEMA IF EXISTS farebox CASCADE")
    return url


@pytest.fixture
def opened(store_url, tmp_path, clock) -> Iterator[Callable[[], Authority]]:
    """Opens the same ledger, as often as wanted; every ledger is found in order in the end."""
    authorities: list[Authority] = []

    def open_one() -> Authority:
        authorities.append(open_authority(tmp_path, store_url, clock))
        return authorities[-1]

    yield open_one
    assert open_one().check() == []
    for authority in authorities:
        authority.close()


@pytest.fixture
def authority(opened: Callable[[], Authority]) -> Authority:
    return opened()
