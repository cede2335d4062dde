"""The gateway keeps the book it prices with, so that what it charged can be charged again."""

import json

from click.testing import CliRunner

from farebox.cli.main import cli
from farebox.state.archive import open_book

ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}


def test_the_book_of_every_charge_is_in_the_archive(gateway, books):
    gateway.openai("/chat/completions", ASK)
    (attempted,) = books.exact()
    book = open_book(gateway.data_dir, attempted.done.book)
    assert book.hash == attempted.done.book


def test_a_running_gateways_charges_come_out_again(start_gateway, simulated, books_of, tmp_path):
    gateway = start_gateway(tmp_path, simulated.url)
    books = books_of(gateway)
    gateway.openai("/chat/completions", ASK)
    gateway.anthropic("/messages", {**ASK, "model": "claude-haiku-4-5", "max_tokens": 9})
    books.exact(2)
    arguments = ["prices", "rerate", "--data", str(gateway.data_dir), "--json"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    said = json.loads(result.output)
    assert (said["equal"], said["different"]) == (2, 0)
