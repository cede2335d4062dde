"""The archive of price books: exact files, written once, opened by hash."""

import os
from pathlib import Path

import pytest

from farebox.charge import Charge
from farebox.errors import ConfigError
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.state.archive import find_book, keep_book, list_books, open_book, read_book_files, use_book
from farebox.state.pricebook import load_book
from farebox.usage import Usage

OWN = '[[prices]]\nprovider = "local"\nmodel = "m"\ninput = "{price}"\nsource = "power bill"\n'


def own_file(folder: Path, price: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(OWN.format(price=price))
    return path


def cost_of(book) -> int:
    rating = Rating("local", "", "m", Usage({"input": 1000}, 1000), 1_795_392_000_000_000_000)
    charged = charge(book, rating)
    assert isinstance(charged, Charge)
    return charged.total_femto


def test_a_book_comes_out_of_the_archive_as_it_went_in(tmp_path):
    mine = own_file(tmp_path, "3")
    book = use_book(tmp_path / "data", [mine])
    mine.write_text(OWN.format(price="4"))
    newer = use_book(tmp_path / "data", [mine])
    assert book.hash != newer.hash
    again = open_book(tmp_path / "data", book.hash[:8])
    assert again.hash == book.hash
    assert cost_of(again) == cost_of(book) == 3 * 10**12
    assert cost_of(open_book(tmp_path / "data", newer.hash)) == 4 * 10**12
    assert again.providers() == book.providers()


def test_the_order_of_own_files_and_their_names_are_kept(tmp_path):
    one, two = own_file(tmp_path, "1", "b.toml"), tmp_path / "a.toml"
    two.write_text('[[prices]]\nprovider = "local"\nmodel = "n"\ninput = "2"\n')
    book = load_book([one, two])
    read = read_book_files(keep_book(tmp_path, book.hash, book.files))
    assert list(read) == list(book.files)
    assert read == book.files
    assert [name for name in read if name.startswith("own/")] == ["own/0/b.toml", "own/1/a.toml"]


def test_the_same_files_make_the_same_bytes_and_are_written_once(tmp_path):
    files = {"shipped/p.toml": b"x", "shared/calendars.toml": b"z", "own/0/own.toml": b"y"}
    first = keep_book(tmp_path / "one", "a" * 64, files)
    second = keep_book(tmp_path / "two", "a" * 64, files)
    assert first.read_bytes() == second.read_bytes()
    os.utime(first, ns=(1, 1))
    assert keep_book(tmp_path / "one", "a" * 64, files).stat().st_mtime_ns == 1
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_books_are_listed_by_age(tmp_path):
    for age, digit in ((2, "a"), (1, "b"), (3, "c")):
        path = keep_book(tmp_path, digit * 64, {"shipped/p.toml": b""})
        os.utime(path, ns=(age, age))
    assert [book.hash[0] for book in list_books(tmp_path)] == ["b", "a", "c"]
    assert [book.first_seen_ns for book in list_books(tmp_path)] == [1, 2, 3]
    assert list_books(tmp_path / "nowhere") == []


def test_a_prefix_must_name_one_book(tmp_path):
    for digits in ("aa1", "aa2"):
        keep_book(tmp_path, digits.ljust(64, "0"), {})
    assert find_book(tmp_path, "AA1").hash.startswith("aa1")
    with pytest.raises(ConfigError, match="several start like that: aa1000, aa2000"):
        find_book(tmp_path, "aa")
    with pytest.raises(ConfigError, match="not in the archive"):
        find_book(tmp_path, "bb")
    with pytest.raises(ConfigError, match="it holds none yet"):
        find_book(tmp_path / "nowhere", "aa")
    with pytest.raises(ConfigError, match="not in the archive"):
        find_book(tmp_path, "")


def test_damage_is_noticed(tmp_path):
    book = use_book(tmp_path)
    path = find_book(tmp_path, book.hash).path
    other = keep_book(tmp_path, "b" * 64, load_book([own_file(tmp_path, "1")]).files)
    path.write_bytes(other.read_bytes())
    with pytest.raises(ConfigError, match="restore it from a backup"):
        open_book(tmp_path, book.hash)
    path.write_bytes(b"PK no more")
    with pytest.raises(ConfigError, match="cannot be read"):
        open_book(tmp_path, book.hash)


def test_a_book_that_cannot_be_kept_is_used_all_the_same(tmp_path, capsys):
    (tmp_path / "pricebooks").write_text("in the way")
    assert use_book(tmp_path).hash == load_book().hash
    assert "cannot be archived" in capsys.readouterr().err
