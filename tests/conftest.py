"""What holds for all tests."""

from __future__ import annotations

import pytest

from tests.patience import patient


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lengthens the time limits that tests have of their own, as `patient` does all limits."""
    for item in items:
        marker = item.get_closest_marker("timeout")
        if marker is not None:
            item.add_marker(pytest.mark.timeout(patient(*marker.args)), append=False)
