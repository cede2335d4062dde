"""HTTP/1.1 as clients really speak it: kept connections, pipelines, upgrades, slow readers, other spellings."""

import http.client
import json
import socket
import time

import pytest

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}


def spell(key, body, *lines, version="1.1", path="/v1/chat/completions"):
    data = json.dumps(body).encode()
    fixed = (
        f"POST {path} HTTP/{version}",
        "Host: farebox",
        f"Authorization: Bearer {key}",
        f"Content-Length: {len(data)}",
    )
    return "\r\n".join([*fixed, *lines, "", ""]).encode() + data


def read_all(connection):
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def test_a_connection_is_kept(gateway, gpt, books):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    headers = {"authorization": f"Bearer {gpt.api_key}"}
    try:
        for body in (BODY, {**BODY, "stream": True}, {**BODY, "model": "none"}, BODY):
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            used = connection.sock
            connection.getresponse().read()
            assert connection.sock is used is not None
    finally:
        connection.close()
    books.exact(3)


def test_requests_in_a_pipeline_are_answered_in_order(gateway, gpt, books):
    bodies = [{**BODY, "stream": True}, BODY, {**BODY, "model": "none"}, {**BODY, "stream": True}, BODY]
    with gateway.connect() as connection:
        last = spell(gpt.api_key, bodies[-1], "connection: close")
        connection.sendall(b"".join(spell(gpt.api_key, body) for body in bodies[:-1]) + last)
        received = read_all(connection)
    kinds = [part.split(b"\r\n", 1)[0][:3] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert kinds == [b"200", b"200", b"404", b"200", b"200"]
    assert received.count(b"data: [DONE]") == 2
    books.exact(4)


@pytest.mark.parametrize("width", [1, 17])
def test_a_request_in_pieces(gateway, gpt, books, width):
    request = spell(gpt.api_key, BODY, "connection: close")
    with gateway.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(request), width):
            connection.sendall(request[at : at + width])
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK\r\n")
    books.exact()


@pytest.mark.parametrize(
    "lines",
    [
        ("Connection: Upgrade, close", "Upgrade: websocket"),
        ("Expect: 100-continue", "connection: close"),
        ("X-FAREBOX-TAGS:team=search", "connection: close"),
    ],
    ids=["upgrade", "expect", "odd spelling"],
)
def test_what_other_clients_send_along(gateway, gpt, books, lines):
    with gateway.connect() as connection:
        connection.sendall(spell(gpt.api_key, BODY, *lines))
        received = read_all(connection)
    assert b"HTTP/1.1 200 OK\r\n" in received
    assert received.startswith(b"HTTP/1.1 100" if "Expect" in lines[0] else b"HTTP/1.1 200")
    books.exact()


def test_a_declined_upgrade_with_its_body_in_pieces(gateway, gpt, books):
    """Java's client asks for h2c, and its body may come later."""
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
    head, _, body = spell(gpt.api_key, BODY, *lines).partition(b"\r\n\r\n")
    with gateway.connect() as connection:
        for piece in (head[:40], head[40:], b"\r\n\r\n", body[:9], body[9:]):
            connection.sendall(piece)
            time.sleep(0.01)
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK\r\n")
    books.exact()


def test_http_1_0(gateway, gpt, books):
    for body in (BODY, {**BODY, "stream": True}):
        with gateway.connect() as connection:
            connection.sendall(spell(gpt.api_key, body, version="1.0"))
            head, _, received = read_all(connection).partition(b"\r\n\r\n")
        assert b" 200 OK\r\n" in head
        if b"content-length" in head:
            assert json.loads(received)["object"] == "chat.completion"
        else:
            assert b"transfer-encoding" not in head, "HTTP/1.0 knows no chunks"
            assert received.endswith(b"data: [DONE]\n\n")
    books.exact(2)


def test_chunked_requests_and_queries(gateway, gpt, books):
    data = json.dumps(BODY).encode()
    head = spell(gpt.api_key, {}, path="/v1/chat/completions?beta=true").split(b"Content-Length")[0]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(data[at : at + 9]), data[at : at + 9]) for at in range(0, len(data), 9))
    with gateway.connect() as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK\r\n")
    books.exact()


def test_a_client_slower_than_its_provider(gateway, gpt, books):
    """The stream waits in the provider's connection, and arrives whole."""
    wish = {"output_tokens": 16_000, "chunk_tokens": 1}
    body = {**BODY, "stream": True, "user": json.dumps(wish)}
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", gateway.port))
        connection.sendall(spell(gpt.api_key, body, "connection: close"))
        time.sleep(0.3)  # by now every buffer between the two is full
        assert gateway.request("GET", "/healthz")[0] == 200
        received = read_all(connection)
    assert received.count(b'"content":"') == 16_001
    assert received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    (attempt,) = books.exact()
    assert attempt.done.meters["output"] == 16_000
