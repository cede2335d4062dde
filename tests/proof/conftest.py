"""Where a proof's ledger is: a file, or a database of its own on a real Postgres server."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.state.postgres_server import NoPostgres, PostgresServer, run_postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    running = run_postgres()
    try:
        server = running.__enter__()
    except NoPostgres as why:
        pytest.skip(f"no Postgres: {why}")
    yield server
    running.__exit__(None, None, None)


@pytest.fixture(scope="session")
def new_database(postgres: PostgresServer) -> Callable[[], str]:
    """Makes a database and returns its URL."""

    def make() -> str:
        import psycopg  # noqa: PLC0415 -- an extra

        name = f"proof_{next(_numbers)}"
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return postgres.url.replace("/postgres?", f"/{name}?")

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest) -> str | None:
    """Where the ledger is: a database of its own, or None for a file in the data directory."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("new_database")()
    return url
