"""The rules of ARCHITECTURE.md, checked: import ranks, purity, the wall between line and office, sizes."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "farebox"
# A module imports only from lower ranks, or from its own folder. A folder has one rank.
RANKS = {
    **dict.fromkeys(("errors", "money", "clock", "ids"), 0),
    **dict.fromkeys(("usage", "charge", "call"), 1),
    **dict.fromkeys(("wire", "normalise", "prices", "budgets", "config"), 2),
    **dict.fromkeys(("translate", "providers"), 3),
    **dict.fromkeys(("auth", "alarm", "aside"), 4),
    **dict.fromkeys(("journal", "http1"), 4),
    **dict.fromkeys(("route", "meter", "quote", "spend", "idempotency"), 5),
    **dict.fromkeys(("dispatch", "discover", "hold", "health", "treasury", "pace", "state"), 6),
    **dict.fromkeys(("admit", "books", "routing"), 7),
    **dict.fromkeys(("edges", "analyse", "reprice", "anomalies", "alerts"), 8),
    **dict.fromkeys(("attempt", "imports", "whatif", "export", "detect"), 9),
    **dict.fromkeys(("failure", "simulate", "replay", "tco", "reconcile"), 10),
    **dict.fromkeys(("relay", "present"), 11),
    **dict.fromkeys(("send", "report"), 12),
    "line": 13,
    **dict.fromkeys(("once", "overload"), 14),
    "listen": 15,
    "reload": 16,
    **dict.fromkeys(("worker", "office"), 17),
    "supervise": 18,
    "cli": 19,
    "__main__": 20,
    "__init__": 20,
}
PURE = frozenset(
    {
        "errors",
        "money",
        "ids",
        "usage",
        "charge",
        "call",
        "wire",
        "normalise",
        "prices",
        "budgets",
        "config",
        "translate",
        "providers",
        "auth",
        "route",
        "meter",
        "quote",
        "discover",
        "dispatch",
        "hold",
        "routing",
        "health",
        "spend",
        "idempotency",
        "analyse",
        "anomalies",
    }
)
IMPURE_IMPORTS = frozenset(
    {"asyncio", "socket", "ssl", "sqlite3", "duckdb", "httptools", "os", "pathlib", "time", "subprocess", "threading"}
)
LINE = (
    *("worker", "reload", "overload", "listen", "line", "once", "send", "relay", "failure", "attempt", "edges"),
    *("admit", "treasury", "pace", "health", "dispatch", "http1"),
)
OFFICE = (
    *("office", "books", "analyse", "reprice", "anomalies", "alerts", "detect", "imports", "whatif", "export"),
    *("tco", "reconcile", "present", "report"),
)
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "core", "types", "base", "misc"})

FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def room_of(path: Path) -> str:
    """The name that has a rank: a top-level module or a folder."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, wherever in it, with the line."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield node.module or "", node.lineno


def rooms_imported(path: Path) -> Iterator[tuple[str, int]]:
    for module, line in imports_of(path):
        parts = module.split(".")
        if parts[0] == "farebox" and len(parts) > 1:
            yield parts[1], line


def reachable(start: str) -> dict[str, str]:
    """Every room reachable from one, with the room through which it is reached."""
    edges: dict[str, set[str]] = {}
    for path in FILES:
        edges.setdefault(room_of(path), set()).update(room for room, _ in rooms_imported(path))
    found = {start: start}
    waiting = [start]
    while waiting:
        room = waiting.pop()
        for target in edges.get(room, ()):
            if target not in found:
                found[target] = room
                waiting.append(target)
    return found


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_go_down(path: Path) -> None:
    own = room_of(path)
    assert own in RANKS, f"{own} has no rank: give it one here and in ARCHITECTURE.md"
    for room, line in rooms_imported(path):
        assert room == own or RANKS[room] < RANKS[own], f"{name(path)}:{line} imports {room}, which is not below {own}"


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in PURE], ids=name)
def test_pure_is_pure(path: Path) -> None:
    for module, line in imports_of(path):
        assert module.split(".")[0] not in IMPURE_IMPORTS, f"{name(path)}:{line} imports {module}"
    for node in ast.walk(parse(path)):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{name(path)}:{node.lineno} is async"
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"now", "utcnow", "today"}, f"{name(path)}:{node.lineno} asks what time it is"


@pytest.mark.parametrize("room", LINE)
def test_line_does_not_reach_office(room: str) -> None:
    found = reachable(room)
    for office in OFFICE:
        assert office not in found, f"{room} reaches {office} through {found[office]}"
    assert "duckdb" not in {module for path in FILES if room_of(path) in found for module, _ in imports_of(path)}


@pytest.mark.parametrize("room", OFFICE)
def test_office_does_not_reach_line(room: str) -> None:
    found = reachable(room)
    for line in LINE:
        assert line not in found, f"{room} reaches {line} through {found[line]}"


def test_simulator_is_independent() -> None:
    """It is the oracle of the metering tests, so it shares no code with what it checks."""
    assert set(reachable("simulate")) == {"simulate"}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES, f"{name(path)} has grown; split it along its ideas"
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = first.end_lineno if documented else node.lineno
            assert node.end_lineno is not None
            assert start is not None
            length = node.end_lineno - start
            assert length <= MAX_FUNCTION_LINES, f"{name(path)}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_rooms_for_everything(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES, "name it after what it does"


def test_package_root_imports_nothing() -> None:
    assert not list(imports_of(PACKAGE / "__init__.py"))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_floats_of_money(path: Path) -> None:
    """A name that ends in _femto or _usd is never given a float literal or passed through float()."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.keyword) and node.arg and node.arg.endswith(("_femto", "_usd")):
            value = node.value
            assert not (isinstance(value, ast.Constant) and isinstance(value.value, float)), (
                f"{name(path)}:{node.value.lineno}"
            )
            assert not (
                isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "float"
            ), f"{name(path)}:{node.value.lineno}"
