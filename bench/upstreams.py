"""What stands behind every gateway: providers that cost nothing, so that the gateway is all there is to see.

The instant one is nginx with one answer in memory. The paced one writes each chunk of a stream by itself,
at a fixed gap, as a model does that generates.

usage: python upstreams.py PORT CHUNKS GAP_MS     (the paced one, in the foreground)
"""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

INSTANT_PORT = 9110
PACED_PORT = 9111

ANSWER = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 1_760_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "A single ticket to the harbour is two coins; a day ticket pays off with the third journey.",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 31,
        "completion_tokens": 22,
        "total_tokens": 53,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_bench",
}

NGINX = """worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port};
    location = /v1/chat/completions {{ default_type application/json; return 200 '{answer}'; }}
  }}
}}
"""


def check_ports(ports: list[int]) -> None:
    """End the program if somebody listens on one of the ports: he would be measured instead."""
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise SystemExit(f"port {port} is taken: stop what listens there")


def start_instant(folder: Path) -> subprocess.Popen[bytes]:
    """Start nginx on INSTANT_PORT, pinned to CPU 1; its files go to `folder`."""
    (folder / "nginx.conf").write_text(NGINX.format(port=INSTANT_PORT, answer=json.dumps(ANSWER)))
    command = ["taskset", "-c", "1", "nginx", "-p", str(folder), "-c", "nginx.conf", "-g", "daemon off;"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def start_paced(chunks: int, gap_ms: float) -> subprocess.Popen[bytes]:
    """Start the paced upstream on PACED_PORT, pinned to CPU 1."""
    command = ["taskset", "-c", "1", sys.executable, __file__, str(PACED_PORT), str(chunks), str(gap_ms)]
    return subprocess.Popen(command)


def _event(choices: list[object], usage: object = None) -> bytes:
    body = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
        "choices": choices,
        "usage": usage,
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _write_events(chunks: int) -> list[bytes]:
    def delta(fields: dict[str, str], reason: str | None = None) -> bytes:
        return _event([{"index": 0, "delta": fields, "logprobs": None, "finish_reason": reason}])

    words = [delta({"content": f" word{number}"}) for number in range(chunks)]
    usage = {"prompt_tokens": 31, "completion_tokens": chunks, "total_tokens": 31 + chunks}
    start = delta({"role": "assistant", "content": ""})
    return [start, *words, delta({}, "stop"), _event([], usage), b"data: [DONE]\n\n"]


async def _serve(port: int, chunks: int, gap_ms: float) -> None:
    frames = [b"%x\r\n%b\r\n" % (len(event), event) for event in _write_events(chunks)]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).lower()
                if not request.startswith(b"post"):
                    # A gateway that looks for the models of its provider finds none.
                    writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                    continue
                length = request.partition(b"content-length:")[2].partition(b"\r\n")[0]
                if length:
                    await reader.readexactly(int(length))
                else:
                    await reader.readuntil(b"\r\n0\r\n\r\n")
                writer.write(head)
                for frame in frames:
                    if writer.is_closing():
                        return
                    writer.write(frame)
                    await asyncio.sleep(gap_ms / 1000)
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


def main() -> None:
    port, chunks, gap_ms = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    try:
        import uvloop  # noqa: PLC0415 - optional, and only where this runs as a server
    except ImportError:
        asyncio.run(_serve(port, chunks, gap_ms))
    else:
        uvloop.run(_serve(port, chunks, gap_ms))


if __name__ == "__main__":
    main()
