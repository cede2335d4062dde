"""``farebox simulate`` as a process: how it starts, what it says, how it ends and how it dies."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from farebox.simulate.bill import read_bill

COMMAND = [sys.executable, "-c", "from farebox.cli.simulate import simulate; simulate()", "--port", "0"]
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}], "max_tokens": 8}


@pytest.fixture
def start(tmp_path):
    running = []

    def run(*options):
        bill = tmp_path / "bill.jsonl"
        process = subprocess.Popen([*COMMAND, "--bill", bill, *options], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        [port] = re.findall(r"listening on http://127\.0\.0\.1:(\d+) ", process.stdout.readline())
        return process, int(port), bill

    yield run
    for process in running:
        process.kill()
        with process:  # waits and closes the pipe
            pass


def ask(port, body=BODY):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": "Bearer k"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_it_announces_itself_serves_and_ends_cleanly(start, tmp_path):
    ready = tmp_path / "ready"
    process, port, bill = start("--ready-file", str(ready), "--output-tokens", "max")
    assert f"OpenAI: http://127.0.0.1:{port}/v1, Anthropic: http://127.0.0.1:{port})" in ready.read_text()
    status, body = ask(port)
    assert (status, body["usage"]["completion_tokens"]) == (200, 8)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert process.stdout.read() == "billed 0.00000495 USD for 1 requests\n"
    assert len(read_bill(bill)) == 1


def test_a_killed_simulator_has_billed_what_it_had_received(start):
    process, port, bill = start("--fault", '{"fault": "hang_before_headers"}')
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.3)
    connection.request("POST", "/v1/chat/completions", json.dumps(BODY), {"authorization": "Bearer k"})
    with pytest.raises(TimeoutError):
        connection.getresponse()
    process.kill()
    process.wait()
    connection.close()
    [row] = read_bill(bill)
    assert (row.phase, row.outcome, row.quantities) == ("received", "planned", {"input": 1, "output": 8})


def test_faults_and_keys_from_the_command_line(start):
    _, port, _ = start("--fault", '{"nth": 1, "status": 503}', "--key", "k")
    assert [ask(port)[0], ask(port)[0]] == [503, 200]


def test_the_ready_line_goes_to_a_descriptor(tmp_path):
    reader, writer = os.pipe()
    process = subprocess.Popen([*COMMAND, "--ready-fd", str(writer)], stdout=subprocess.DEVNULL, pass_fds=[writer])
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.readline().startswith("simulated providers listening on http://127.0.0.1:")
    process.terminate()
    assert process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fault", "{nope"], "is no JSON object"),
        (["--fault", '{"fualt": "stall"}'], "fualt"),
        (["--output-tokens", "many"], "many"),
        (["--bill", "/proc/nowhere/bill"], "the bill cannot be written"),
    ],
)
def test_bad_options_are_named(options, words):
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_importing_it_is_light():
    code = (
        "import sys; import farebox.simulate.run; "
        "print(sorted({'rich', 'duckdb', 'openai', 'anthropic', 'granian', 'pyreqwest'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
