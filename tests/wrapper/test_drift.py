"""The stability index over the latest images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.drift_reference import STATISTICS, reference
from wrapper.drift import ENOUGH, WINDOW, DriftWindow

RANDOM = np.random.default_rng(5)


def images(count: int, fullest: int = 140) -> NDArray[np.uint8]:
    """Returns images with different amounts of ink."""
    darkness = RANDOM.integers(10, fullest, (count, 1, 1))
    return np.broadcast_to(darkness, (count, 28, 28)).astype(np.uint8)


def answers(count: int, sure: float = 20.0, classes: int = 10) -> NDArray[np.float64]:
    """Returns probabilities for some of the classes, with equal frequency."""
    found = np.full((count, 10), 0.001)
    found[np.arange(count), RANDOM.integers(0, classes, count)] = RANDOM.beta(sure, 1, count)
    return found


@pytest.fixture
def window() -> DriftWindow:
    return DriftWindow(reference(images(20_000), answers(20_000)))


def fill(window: DriftWindow, count: int, **other: Any) -> None:
    for _ in range(count // 50):
        found = answers(50, other.get("sure", 20.0), other.get("classes", 10))
        window.add(
            images(50, other.get("fullest", 140)),
            found.max(axis=1),
            np.bincount(found.argmax(axis=1), minlength=10),
        )


def test_images_as_expected_have_a_small_index(window: DriftWindow) -> None:
    fill(window, 3 * WINDOW)
    assert set(window.indices()) == set(STATISTICS)
    assert max(window.indices().values()) < 0.05


@pytest.mark.parametrize(
    ("statistic", "change"),
    [("ink", {"fullest": 60}), ("confidence", {"sure": 2.0}), ("class", {"classes": 4})],
)
def test_a_change_raises_only_the_index_of_its_statistic(
    window: DriftWindow, statistic: str, change: dict[str, Any]
) -> None:
    fill(window, 2 * WINDOW, **change)
    found = window.indices()
    assert found.pop(statistic) > 0.25
    assert max(found.values()) < 0.1


def test_older_images_lose_their_weight(window: DriftWindow) -> None:
    fill(window, 2 * WINDOW, fullest=60)
    fill(window, 4 * WINDOW)
    assert window.indices()["ink"] < 0.1


def test_too_few_images_give_no_index(window: DriftWindow) -> None:
    fill(window, ENOUGH - 50)
    assert window.indices() == {}
    fill(window, 50)
    assert window.indices()
