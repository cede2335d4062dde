"""Delivery to a real HTTP server: signed webhooks and apprise, again after a failure, once."""

import json
import threading
from contextlib import closing
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from farebox.alerts import Courier, NotDelivered, Notice, connect, enqueue, send, sign

NOTICE = Notice("key:ci 7 opened", "opened", "high", "high: key:ci", "It spent 9 USD.", {"scope": "key:ci"})


class Server(HTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Hook)
        self.taken: list[tuple[Message, bytes]] = []
        self.answers: list[int] = []


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        server = self.server
        assert isinstance(server, Server)
        server.taken.append((self.headers, body))
        self.send_response(server.answers.pop(0) if server.answers else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def address(hook, scheme="http"):
    return f"{scheme}://127.0.0.1:{hook.server_address[1]}/hook"


def put(path, *urls, now_s=0.0):
    with closing(connect(path)) as database:
        enqueue(database, NOTICE, urls, now_s)


def left(path):
    with closing(connect(path)) as database:
        return database.execute("SELECT tries FROM notice").fetchall()


def test_a_webhook_is_signed(hook):
    send(address(hook), NOTICE, "s3cret")
    ((headers, body),) = hook.taken
    assert headers["x-farebox-signature"] == sign("s3cret", body)
    assert headers["x-farebox-alert"] == NOTICE.id
    assert json.loads(body)["details"] == {"scope": "key:ci"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of apprise's own making
def test_apprise_takes_everything_else(hook):
    send(address(hook, "json"), NOTICE, "")
    ((_, body),) = hook.taken
    assert json.loads(body)["title"] == NOTICE.title
    assert json.loads(body)["message"] == NOTICE.text
    with pytest.raises(NotDelivered, match=r"no such address as nonsense"):
        send("nonsense://x", NOTICE, "")
    hook.answers.append(500)
    with pytest.raises(NotDelivered, match="did not take it"):
        send(address(hook, "json"), NOTICE, "")


def test_it_leaves_the_queue_when_it_was_taken_and_not_before(hook, tmp_path):
    path = tmp_path / "anomalies.db"
    said: list[str] = []
    put(path, address(hook), now_s=1e12)  # made just now, as far as giving up is concerned
    with closing(connect(path)) as database:
        database.execute("UPDATE notice SET due_s = 0")
    hook.answers.append(503)
    Courier(path, said.append).deliver([address(hook)], "")
    assert left(path) == [(1,)]
    assert "will be tried again" in said[0]
    with closing(connect(path)) as database:
        database.execute("UPDATE notice SET due_s = 0")
    courier = Courier(path, said.append)  # after a crash, say
    courier.start([address(hook)], "")
    courier.wait(10)
    assert left(path) == []
    courier.deliver([address(hook)], "")
    assert len(hook.taken) == 2


def test_it_is_told_once_to_each(hook, tmp_path):
    path = tmp_path / "anomalies.db"
    urls = [address(hook), address(hook) + "/2"]
    put(path, *urls)
    put(path, *urls)
    Courier(path, print).deliver(urls, "")
    assert len(hook.taken) == 2
    assert left(path) == []


def test_after_a_day_it_is_given_up_aloud(tmp_path):
    path = tmp_path / "anomalies.db"
    said: list[str] = []
    put(path, "http://127.0.0.1:1/nobody", now_s=1.0)
    Courier(path, said.append).deliver(["http://127.0.0.1:1/nobody"], "")
    assert "given up" in said[0]
    assert left(path) == []


def test_an_address_that_is_gone_is_forgotten(tmp_path):
    path = tmp_path / "anomalies.db"
    put(path, "http://127.0.0.1:1/nobody")
    Courier(path, print).deliver([], "")
    assert left(path) == []
