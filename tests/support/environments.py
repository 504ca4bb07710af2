"""The other environments that the Makefile makes, and marks for tests that need them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., Any])

ROOT = Path(__file__).resolve().parents[2]
TRAINING_PYTHON = ROOT / ".venv-train" / "bin" / "python"
PYTHON38 = ROOT / ".venv-3.8" / "bin" / "python"

# TensorFlow takes seconds to import and a minute to train: such tests are for `make test-full`.
needs_tensorflow = (
    pytest.mark.full,
    pytest.mark.skipif(not TRAINING_PYTHON.exists(), reason="there is no .venv-train here"),
)


def with_tensorflow(test: Test) -> Test:
    """Marks a test that needs TensorFlow."""
    for mark in needs_tensorflow:
        test = mark(test)
    return test


needs_python38 = pytest.mark.skipif(not PYTHON38.exists(), reason="there is no .venv-3.8 here")
