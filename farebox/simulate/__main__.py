"""``python -m farebox.simulate --bill FILE``: the simulated providers as a child of another process.

Prints one line of JSON when ready, ``{"url": ..., "models": {"openai": [...], "anthropic": [...]}}``, and stops on
SIGTERM or when standard input closes, so that it does not outlive its parent.
"""

import argparse
import json
import os
import signal
import threading

from farebox.simulate.models import ANTHROPIC, OPENAI, models_of
from farebox.simulate.run import SimulatedProviders, run_until_signal


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m farebox.simulate")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bill", required=True)
    options = parser.parse_args()
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    run_until_signal(SimulatedProviders(port=options.port, bill_path=options.bill), _announce, lambda _: None)


def _announce(providers: SimulatedProviders) -> None:
    print(
        json.dumps(
            {
                "url": providers.url,
                "models": {api: [model.name for model in models_of(api)] for api in (OPENAI, ANTHROPIC)},
            }
        ),
        flush=True,
    )


def _stop_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
