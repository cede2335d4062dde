"""What the head of a request must be, beyond what the parser sees to: its version, its host, its target."""

from urllib.parse import unquote

from farebox.http1.exchange import Exchange, Refused

NOT_HTTP = "The request is not valid HTTP/1.1."
HEAD_TOO_LARGE = "The request's headers are too large."


def check_version(exchange: Exchange, version: str) -> None:
    """Refuse what is neither HTTP/1.1 with one host (RFC 9112, 3.2) nor HTTP/1.0; take down which of them it is.

    Raises:
        Refused: where it is neither.
    """
    host = exchange.headers.get("host")
    if version == "1.0":
        exchange.is_1_0 = True
        if exchange.headers.get("transfer-encoding") is not None:
            raise Refused(400, NOT_HTTP)  # RFC 9112, 6.1: its framing is faulty
    elif version != "1.1":
        raise Refused(505, "This server speaks HTTP/1.1.")
    elif host is None:
        raise Refused(400, "The request has no host header.")
    if host is not None and "," in host:
        raise Refused(400, "The request has more than one host.")


def path_of(url: bytes) -> str:
    """Return the path of a request's target, percent-decoded; the target may be a whole URL (RFC 9112, 3.2.2)."""
    path = url.partition(b"?")[0].decode("latin-1")
    if path[0] != "/" and "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return unquote(path) if "%" in path else path
