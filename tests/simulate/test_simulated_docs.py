"""docs/simulate.md names every control, fault, model and path, and its examples run."""

import re
from pathlib import Path
from typing import get_args

import pytest

from farebox.simulate.control import NAMES, Fault
from farebox.simulate.models import SERVED, models_of

DOC = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text()
CELLS = {word for row in re.findall(r"^\| (.*?) \|", DOC, re.MULTILINE) for word in re.findall(r"`([^`]+)`", row)}


def test_every_control_and_fault_is_described_and_no_other():
    assert {cell for cell in CELLS if "/" not in cell} == NAMES | set(get_args(Fault))


@pytest.mark.parametrize("model", [m.name for api in SERVED for m in models_of(api)])
def test_every_model_is_named(model):
    assert f"`{model}`" in DOC


def test_the_paths_are_served(hands):
    for method, path in re.findall(r"`(GET|POST) /_simulate/(\w+)`", DOC):
        body = {"for_ms": 1} if path == "refuse" else {}
        assert hands.order(path, body if method == "POST" else None)[0] == 200, path
