"""Compares the figures of the models with their targets."""

from collections.abc import Iterator
from typing import Any

from model.tables import header, percent, row

ACCURACIES = {"fast": (0.975, 0.985), "accurate": (0.985, 0.9890, 0.9934), "baseline": (0.9398,)}
"""Accuracies on the test split, by model: the minimum, and then the goals."""

SPEEDS = {"fast": 40_000, "accurate": 5_000}
"""Minimum of images a second at batch 256 on two cores, by model."""

_SERVED = (
    ("images a second", "int8", "ai_edge_litert"),
    ("images a second on Python 3.8", "float", "tflite_runtime"),
)
"""Targets of speed: name, and the model's form and runtime that are measured."""

SIZE_BYTES = 4_000_000
CALIBRATION_ERROR = 0.005
RIGHT = 0.998  # share of the answered images
FLAGGED = 0.01  # share of the real images
AUROC = 0.97  # for each kind of outlier


def targets(models: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yields the lines of a table with each model's targets.

    Args:
        models: figures of `model.evaluate.evaluate`, by name.
    """
    yield from header("model", "what", "target", "found", "")
    for name, found in models.items():
        for what, target, value, met in _of(name, found):
            yield row(name, what, target, value, "met" if met else "missed")
    yield ""


def _of(name: str, found: dict[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    accuracy = found["accuracy"]
    for target in ACCURACIES[name]:
        yield "accuracy", percent(target), percent(accuracy), accuracy >= target
    for what, form, package in _SERVED:
        speed = _speed(found, form, package)
        if name in SPEEDS and speed is not None:
            yield what, f"{SPEEDS[name]:,}", f"{speed:,}", speed >= SPEEDS[name]
    if name == "baseline":
        return
    size = found["size_bytes"]
    yield "size", "under 4 MB", f"{size / 1e6:.2f} MB", size < SIZE_BYTES
    error = found["calibration"]["error"]
    yield "calibration error", "under 0.5 %", percent(error), error < CALIBRATION_ERROR
    right = found["abstention"]["accuracy"]
    if right is None:
        yield "right, of the answered images", "99.8 %", "none answered", False
    else:
        yield "right, of the answered images", "99.8 %", percent(right), right >= RIGHT
    flagged = found["flagged"]
    yield "real images flagged", "at most 1 %", percent(flagged), flagged <= FLAGGED
    lowest = min(kind["auroc"] for kind in found["outliers"].values())
    yield "AUROC, each kind of outlier", "0.97", f"{lowest:.4f} or more", lowest >= AUROC


def _speed(found: dict[str, Any], form: str, package: str) -> int | None:
    """Returns the median of images a second at batch 256 on two cores, if it was measured."""
    rates = (
        rate["median"]
        for each in found.get("speed", ())
        if each["form"] == form and each["threads"] == 2 and each["runtime"].startswith(package)
        for rate in each["images_per_second"]
        if rate["batch"] == 256
    )
    return next(rates, None)
