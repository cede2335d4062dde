"""Requests that are refused: a clear error in the dialect that was called, nothing on record, nothing sent."""

import gzip
import json
import os
import time

import pytest

from farebox.state.keys import KeyStore, load_pepper

ASK = [{"role": "user", "content": "Hi"}]
CHAT = {"model": "gpt-4o-mini", "messages": ASK}
MESSAGE = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": ASK}
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
DIALECTS = ["openai", "anthropic"]
OPENAI_TYPES = {401: "invalid_request_error", 404: "invalid_request_error"}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
}


@pytest.fixture(autouse=True)
def _nothing_is_sent(books):
    yield
    books.nothing()


def good(dialect):
    return dict(CHAT if dialect == "openai" else MESSAGE)


def check(dialect, answer, status, code, param=None):
    """The error has the dialect's shape and names; returns its message."""
    got, headers, raw = answer
    body = json.loads(raw)
    assert (got, headers["content-type"]) == (status, "application/json"), body
    call = headers["x-farebox-call"]
    error = body["error"]
    if dialect == "openai":
        assert headers["x-request-id"] == call
        assert body.keys() == {"error"}
        assert error["type"] == OPENAI_TYPES.get(status, "invalid_request_error")
        assert (error["code"], error["param"]) == (code, param)
    else:
        assert headers["request-id"] == body["request_id"] == call
        assert body["type"] == "error"
        assert error["type"] == ANTHROPIC_TYPES[status]
        assert error["details"]["error_code"] == code
        assert param is None or param in error["message"]
    return error["message"]


def post(gateway, dialect, body, headers=()):
    return (gateway.openai if dialect == "openai" else gateway.anthropic)(PATHS[dialect][3:], body, headers)


@pytest.mark.parametrize("dialect", DIALECTS)
class TestKeys:
    def post(self, gateway, dialect, headers):
        return gateway.request("POST", PATHS[dialect], good(dialect), headers)

    def test_none(self, gateway, dialect):
        assert "farebox keys create" in check(dialect, self.post(gateway, dialect, {}), 401, "missing_api_key")

    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": "Bearer wrong"},
            {"x-api-key": "wrong"},
            {"authorization": "Bearer fbx-key-of-the-tests2"},
            {"authorization": "Bearer FBX-KEY-OF-THE-TESTS"},
            {"x-api-key": "\xfc\xfe"},
        ],
    )
    def test_wrong(self, gateway, dialect, headers):
        check(dialect, self.post(gateway, dialect, headers), 401, "invalid_api_key")

    def test_two_different_ones(self, gateway, gpt, dialect):
        headers = {"authorization": f"Bearer {gpt.api_key}", "x-api-key": "other"}
        message = check(dialect, self.post(gateway, dialect, headers), 401, "invalid_api_key")
        assert "Two different" in message

    def test_no_key_scheme_but_bearer(self, gateway, gpt, dialect):
        check(dialect, self.post(gateway, dialect, {"authorization": f"Basic {gpt.api_key}"}), 401, "missing_api_key")


@pytest.mark.parametrize("dialect", DIALECTS)
class TestBodies:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            '"model"',
            "null",
            '{"model": NaN}',
            '{"model": Infinity}',
            '{"a": 1,}',
            '{"a": 01}',
            "{'a': 1}",
            '{"a": "\\ud800"}',
            '{"a": "\x01"}',
            '{"a": 1} {"b": 2}',
            '{"a": 1e999}',
            '{"a": ' + "9" * 5000 + "}",
            "[" * 100_000,
            '{"a":' * 30_000,
        ],
        ids=lambda text: text[:12],
    )
    def test_malformed(self, gateway, dialect, text):
        message = check(dialect, post(gateway, dialect, text.encode()), 400, "invalid_json")
        assert "JSON" in message

    def test_not_utf8(self, gateway, dialect):
        check(dialect, post(gateway, dialect, b'{"model": "\xff\xfe"}'), 400, "invalid_json")

    @pytest.mark.parametrize(
        "text",
        [
            '{"model": "a", "model": "b"}',
            '{"model": "a", "messages": [{"role": "user", "role": "system"}]}',
            '{"m\\u006fdel": "a", "model": "b"}',
            '{"model": "\\u003a", "x": {"y": 1, "y": 1}}',
            '{"a": {"b:c": 1, "b:c": 2}, "d": ":"}',
        ],
    )
    def test_duplicate_keys(self, gateway, dialect, text):
        message = check(dialect, post(gateway, dialect, text.encode()), 400, "duplicate_key")
        assert "stands twice" in message

    def test_too_deep(self, gateway, dialect):
        deep = json.loads("[" * 70 + "]" * 70)
        assert "64 levels" in check(dialect, post(gateway, dialect, {**good(dialect), "x": deep}), 400, "too_deep")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("model", None),
            ("model", 7),
            ("model", ""),
            ("messages", "Hi"),
            ("messages", []),
            ("messages", None),
            ("stream", "yes"),
            ("max_tokens", -1),
            ("max_tokens", 1.5),
            ("max_tokens", True),
            ("max_tokens", 10**30),
        ],
    )
    def test_fields_of_the_wrong_type(self, gateway, dialect, field, value):
        message = check(
            dialect, post(gateway, dialect, {**good(dialect), field: value}), 400, "invalid_request", param=field
        )
        assert f"'{field}'" in message

    @pytest.mark.parametrize("model", ["none", "nobody/gpt-4o", "openai/", "/gpt-4o", "x" * 300])
    def test_unknown_model(self, gateway, dialect, model):
        answer = post(gateway, dialect, {**good(dialect), "model": model})
        assert "GET /v1/models" in check(dialect, answer, 404, "model_not_found", param="model")

    @pytest.mark.parametrize("model", ["openai/a\r\nset-cookie: b=c", "openai/a\nb", "openai/\x00", "openai/\x1b[2J"])
    def test_model_with_control_characters(self, gateway, dialect, model):
        answer = post(gateway, dialect, {**good(dialect), "model": model})
        assert "set-cookie" not in answer[1]
        check(dialect, answer, 400, "invalid_request", param="model")

    @pytest.mark.parametrize("tags", ["team", "=x", "a=b,,c=d", "a=b,"])
    def test_tags(self, gateway, dialect, tags):
        answer = post(gateway, dialect, good(dialect), {"x-farebox-tags": tags})
        check(dialect, answer, 400, "invalid_request", param="x-farebox-tags")

    def test_tags_without_end(self, gateway, dialect):
        answer = post(gateway, dialect, good(dialect), {"x-farebox-tags": f"a={'b' * 9000}"})
        check(dialect, answer, 400, "invalid_request", param="metadata")

    def test_compressed(self, gateway, dialect):
        packed = gzip.compress(json.dumps(good(dialect)).encode())
        answer = post(gateway, dialect, packed, {"content-encoding": "gzip"})
        assert "content-encoding" in check(dialect, answer, 400, "invalid_request")


@pytest.mark.parametrize("dialect", DIALECTS)
class TestSizes:
    def head(self, gpt, dialect, *lines):
        fixed = (f"POST {PATHS[dialect]} HTTP/1.1", "host: farebox", f"authorization: Bearer {gpt.api_key}")
        return "\r\n".join([*fixed, *lines, "", ""]).encode()

    def receive(self, connection):
        answer = b""
        while data := connection.recv(65536):
            answer += data
        head, _, body = answer.partition(b"\r\n\r\n")
        line, *named = head.decode().split("\r\n")
        headers = dict(pair.split(": ", 1) for pair in named)
        assert headers["connection"] == "close"
        return int(line.split()[1]), headers, body

    @pytest.mark.parametrize("factor", [1.1, 20])
    def test_a_body_that_is_sent_whole(self, gateway, dialect, factor):
        body = {**good(dialect), "padding": "x" * int(256 * 1024 * factor)}
        answer = post(gateway, dialect, body)
        assert "limits.body_bytes" in check(dialect, answer, 413, "request_too_large")

    def test_by_its_length_before_it_is_sent(self, gateway, gpt, dialect):
        with gateway.connect() as connection:
            connection.sendall(self.head(gpt, dialect, "content-length: 300000"))
            check(dialect, self.receive(connection), 413, "request_too_large")

    def test_beside_a_wish_for_another_protocol(self, gateway, gpt, dialect):
        with gateway.connect() as connection:
            wish = ("connection: upgrade", "upgrade: h2c", "content-length: 300000")
            connection.sendall(self.head(gpt, dialect, *wish) + b"x" * 1000)
            check(dialect, self.receive(connection), 413, "request_too_large")

    def test_a_body_that_waits_to_be_asked_for(self, gateway, gpt, dialect):
        with gateway.connect() as connection:
            connection.sendall(self.head(gpt, dialect, "content-length: 300000", "expect: 100-continue"))
            check(dialect, self.receive(connection), 413, "request_too_large")

    def test_by_counting_chunks(self, gateway, gpt, dialect):
        with gateway.connect() as connection:
            connection.sendall(self.head(gpt, dialect, "transfer-encoding: chunked"))
            for _ in range(9):
                connection.sendall(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
            check(dialect, self.receive(connection), 413, "request_too_large")

    def test_headers_without_end(self, gateway, gpt, dialect):
        with gateway.connect() as connection:
            connection.sendall(self.head(gpt, dialect)[:-2] + b"x-long: " + b"y" * 70_000)
            status, _, _ = self.receive(connection)
            assert status == 431


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/completions", "/v1/chat/completions/", "/v2/messages", "/%00"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_paths(gateway, method, path):
    check("openai", gateway.request(method, path), 404, "unknown_path")


def test_unknown_path_below_messages(gateway):
    check("anthropic", gateway.anthropic("/messages/batches", MESSAGE), 404, "unknown_path")


@pytest.mark.parametrize(
    ("dialect", "method", "path"),
    [
        ("openai", "GET", "/v1/chat/completions"),
        ("openai", "PUT", "/v1/embeddings"),
        ("anthropic", "GET", "/v1/messages"),
        ("anthropic", "DELETE", "/v1/messages/count_tokens"),
        ("openai", "POST", "/v1/models"),
    ],
)
def test_wrong_methods(gateway, dialect, method, path):
    check(dialect, gateway.request(method, path), 405, "method_not_allowed")


def test_models_need_a_key_and_health_does_not(gateway):
    check("openai", gateway.request("GET", "/v1/models"), 401, "missing_api_key")
    check(
        "anthropic", gateway.request("GET", "/v1/models/x", headers={"anthropic-version": "1"}), 401, "missing_api_key"
    )
    assert gateway.request("GET", "/healthz")[0] == 200
    status, _, body = gateway.request("GET", "/readyz")
    assert (status, json.loads(body)) == (
        200,
        {"status": "ready", "journal": "ok", "load": "normal", "configuration": "ok"},
    )


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request(gateway, text):
    with gateway.connect() as connection:
        connection.sendall(text)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        while connection.recv(65536):
            pass


def test_a_client_that_leaves_in_the_middle_of_its_body(gateway, gpt):
    for _ in range(3):
        with gateway.connect() as connection:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {gpt.api_key}\r\n"
            connection.sendall(head.encode() + b'content-length: 100\r\n\r\n{"model":')
    assert gateway.request("GET", "/healthz")[0] == 200


def test_revoked_keys_stop_within_a_second(gateway):
    store = KeyStore(gateway.data_dir, load_pepper(gateway.data_dir, os.environ.get("FAREBOX_PEPPER")))
    row, key = store.create("temporary", time.time_ns())

    def status():
        return gateway.request("GET", "/v1/models", headers={"authorization": f"Bearer {key}"})[0]

    deadline_s = time.monotonic() + 1
    while status() != 200:
        assert time.monotonic() < deadline_s, "a new key is not known within a second"
        time.sleep(0.02)
    store.revoke(row.id, time.time_ns())
    deadline_s = time.monotonic() + 1
    while status() != 401:
        assert time.monotonic() < deadline_s, "a revoked key still works after a second"
        time.sleep(0.02)
