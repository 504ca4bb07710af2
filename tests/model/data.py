"""A mark for tests that need the official data set, which is not in the repository."""

import pytest

from model import dataset

needs_data = pytest.mark.skipif(
    not (dataset.cached("train") and dataset.cached("test")),
    reason="no data set: set KMNIST_DATA, or run `python -m model.dataset`",
)
