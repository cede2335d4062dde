"""The checker of OpenAI bodies, which stands outside the project."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def validator() -> Any:
    path = Path(__file__).parents[3] / "shared/tools/validate_openai.py"
    if not path.exists():
        pytest.skip("../shared/tools/validate_openai.py is absent")
    spec = importlib.util.spec_from_file_location("validate_openai", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        pytest.skip(f"the validator needs {error.name}")
    return module.Validator(None)
