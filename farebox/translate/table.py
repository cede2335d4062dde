"""Which translation serves a client of one dialect with a provider of another.

The table is the support matrix. A dialect is ``openai`` (chat completions) or ``anthropic`` (messages). Two
of the same name need no translation: their bodies and streams are passed through untouched.
"""

from typing import Any, Protocol

from farebox.translate import anthropic_openai, openai_anthropic
from farebox.wire.sse import Event


class StreamTranslator(Protocol):
    """Translates one streamed answer: made for it, fed in order, never shared or reused.

    An attempt that is retried or fails over gets a new one.
    """

    complete: bool
    """Whether the provider ended the answer in its own way; False at the end of its bytes means it was cut."""

    def feed(self, event: Event) -> list[bytes]:
        """Return whole events of the client's dialect for one event of the provider's.

        After the end of the message or an error event it returns nothing more.

        Raises:
            farebox.errors.UpstreamFailed: the event cannot be read.
        """
        ...

    def finish(self) -> list[bytes]:
        """Return what is owed once the provider's bytes have ended. No end is made up for a stream that was cut."""
        ...


class Translation(Protocol):
    """One ordered pair of dialects. Pure functions, shared by all calls, safe to call again for every attempt."""

    def translate_request(self, body: dict[str, Any], model: str, *, default_max_tokens: int = 4096) -> dict[str, Any]:
        """Return the provider's body for a client's body, which is not changed.

        Args:
            body: decoded JSON. Parts of it may be shared with the result.
            model: the provider's model id.
            default_max_tokens: the cap on the output where the provider demands one and the client gave none.

        Raises:
            farebox.errors.BadRequest: a field is malformed.
            farebox.errors.Untranslatable: a field cannot be expressed; names it and the remedy.
        """
        ...

    def translate_response(self, body: dict[str, Any], asked_model: str, *, now_s: int = 0) -> dict[str, Any]:
        """Return the client's body for a provider's successful answer.

        Args:
            body: decoded JSON.
            asked_model: the model's name where the answer has none.
            now_s: seconds since the epoch, where the client's dialect dates answers and the provider's does not.

        Raises:
            farebox.errors.UpstreamFailed: it is not an answer of the provider's dialect.
        """
        ...

    def start_stream(self, asked_model: str, *, include_usage: bool = False, now_s: int = 0) -> StreamTranslator:
        """Return the translator of one streamed answer.

        Args:
            asked_model: the model's name where the stream has none.
            include_usage: whether an OpenAI client asked for the usage chunk.
            now_s: as for translate_response.
        """
        ...

    def translate_error(self, status: int, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return the client's status and error body for a provider's error answer, whatever its body is."""
        ...


TRANSLATIONS: dict[tuple[str, str], Translation] = {
    ("openai", "anthropic"): openai_anthropic,
    ("anthropic", "openai"): anthropic_openai,
}


def find(client_dialect: str, provider_dialect: str) -> Translation | None:
    """Return the translation of an ordered pair, or None if both speak the same dialect.

    Raises:
        KeyError: nobody translates between the two.
    """
    if client_dialect == provider_dialect:
        return None
    return TRANSLATIONS[client_dialect, provider_dialect]
