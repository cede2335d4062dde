"""Rate limits per key in fixed minutes, and the numbers that answers report about them."""

import msgspec

WINDOW_S = 60


class Allowance(msgspec.Struct, frozen=True):
    """What a key may still do in this minute.

    Attributes:
        limit_requests: requests per minute.
        limit_tokens: tokens per minute.
        remaining_requests: of them, still free.
        remaining_tokens: of them, still free.
        reset_s: seconds until the minute is over.
        exceeded: ``requests`` or ``tokens`` if this request is one too many, else empty.
    """

    limit_requests: int
    limit_tokens: int
    remaining_requests: int
    remaining_tokens: int
    reset_s: float
    exceeded: str = ""


class Limits:
    """Counts requests and tokens per key."""

    def __init__(self, requests: int = 0, tokens: int = 0) -> None:
        """Limits per minute; 0 never refuses, and reports the numbers below as if each request were the first."""
        self.requests = requests
        self.tokens = tokens
        self._used: dict[str, tuple[int, int, int]] = {}

    def take(self, key: str, tokens: int, now_s: float) -> Allowance:
        """Count one request of so many tokens, unless it exceeds a limit that refuses."""
        window = int(now_s // WINDOW_S)
        start, requests_used, tokens_used = self._used.get(key, (window, 0, 0))
        if start != window:
            requests_used = tokens_used = 0
        exceeded = ""
        if self.requests and requests_used + 1 > self.requests:
            exceeded = "requests"
        elif self.tokens and tokens_used + tokens > self.tokens:
            exceeded = "tokens"
        else:
            requests_used, tokens_used = requests_used + 1, tokens_used + tokens
            self._used[key] = (window, requests_used, tokens_used)
        # 10,000 requests and 2,000,000 tokens per minute are what a mid-tier account has.
        limit_requests, limit_tokens = self.requests or 10_000, self.tokens or 2_000_000
        return Allowance(
            limit_requests,
            limit_tokens,
            max(0, limit_requests - (requests_used if self.requests else 1)),
            max(0, limit_tokens - (tokens_used if self.tokens else tokens)),
            (window + 1) * WINDOW_S - now_s,
            exceeded,
        )
