"""What holds for all tests."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from kafka.guard import Guard
from tests.support.patience import patient

# How long an example takes says nothing of the code where other tests run beside it.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


_LONGEST_ID = 100
_GUARD = pytest.StashKey[Guard]()


def pytest_configure(config: pytest.Config) -> None:
    """Sees to it that no process outlives the run, however that ends."""
    # The processes of xdist are among those that are guarded.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.stash[_GUARD] = Guard()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Says what tests have left behind."""
    guard = config.stash.get(_GUARD, None)
    for line in guard.close() if guard else ():
        sys.stderr.write(f"left behind by a test, and ended: {line}\n")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names long values by their length: processes send a test's name to each other."""
    if isinstance(val, (str, bytes)) and len(val) > _LONGEST_ID:
        return f"{argname} of {len(val)}"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lengthens the tests' own time limits, and mixes the folders."""
    for item in items:
        marker = item.get_closest_marker("timeout")
        if marker is not None:
            item.add_marker(pytest.mark.timeout(patient(*marker.args)), append=False)
    _mix_folders(items)


def _mix_folders(items: list[pytest.Item]) -> None:
    """Spreads the modules of each folder over the whole run, and keeps each module together.

    Tests of some folders wait for brokers, those of others compute: beside each other they use
    the processor best.
    """
    modules: dict[Path, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(item.path for item in items):
        modules[path.parent].append(path)
    places = {
        path: number / len(paths) for paths in modules.values() for number, path in enumerate(paths)
    }
    items.sort(key=lambda item: places[item.path])
