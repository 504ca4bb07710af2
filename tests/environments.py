"""The other environments that the Makefile makes, and marks for tests that need them."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TRAINING_PYTHON = ROOT / ".venv-train" / "bin" / "python"
PYTHON38 = ROOT / ".venv-3.8" / "bin" / "python"

needs_tensorflow = pytest.mark.skipif(
    not TRAINING_PYTHON.exists(), reason="there is no .venv-train here"
)
needs_python38 = pytest.mark.skipif(not PYTHON38.exists(), reason="there is no .venv-3.8 here")
