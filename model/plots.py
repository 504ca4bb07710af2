"""Draws the pictures of docs/model.md from the measurements of `model.evaluate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model.dataset import Split
from model.labels import ROMAJI
from model.pictures import draw_confusion, grid
from model.robustness import DISTORTIONS

_MISTAKES = 24
_COLOURS = {"fast": "#0072b2", "accurate": "#d55e00", "baseline": "#666666"}
_LINES = {"int8": "-", "scikit-learn": "-", "float": "--", "Keras": ":"}
# With these settings, equal measurements give equal files, and git shows no change.
_FIXED: Any = {"svg.hashsalt": "model", "svg.fonttype": "none", "font.size": 9.0}

Models = dict[str, dict[str, Any]]


def draw_all(models: Models, folder: Path) -> None:
    """Draws the measurements of all models.

    Args:
        models: results of `model.evaluate.evaluate`, by name of the model.
        folder: folder for the SVG files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Callable[[Models], Figure]] = {
        "confusion": _confusion,
        "reliability": _reliability,
        "risk_coverage": _risk_coverage,
        "robustness": _robustness,
        "speed": _speed,
    }
    with mpl.rc_context(_FIXED):
        for name, draw in drawn.items():
            figure = draw(models)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def draw_mistakes(probabilities: NDArray[Any], split: Split, path: Path) -> None:
    """Draws the images with the most confident wrong answers, under the right labels.

    Args:
        probabilities: float (n, 10), a model's answers.
        split: the n images that the model answered.
        path: path of the PNG file.
    """
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != split.labels)
    worst = wrong[np.argsort(-confidence[wrong])][:_MISTAKES]
    titles = [
        f"{ROMAJI[split.labels[index]]}, not {ROMAJI[answers[index]]}\n{confidence[index]:.1%}"
        for index in worst
    ]
    figure = grid(split.images[worst], titles, columns=8)
    figure.savefig(path, dpi=120)


def _panels(count: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, count)))


def _confusion(models: Models) -> Figure:
    figure, panels = _panels(len(models), 3.4, 3.6)
    for axes, (name, found) in zip(panels, models.items(), strict=True):
        draw_confusion(axes, np.array(found["confusion"]))
        axes.set_title(f"{name}, mistakes only")
    return figure


def _reliability(models: Models) -> Figure:
    figure, panels = _panels(len(models), 3.2, 3.4)
    for axes, (name, found) in zip(panels, models.items(), strict=True):
        bins = found["calibration"]
        counts = np.array(bins["counts"])
        some = counts > 0
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        axes.scatter(
            np.array(bins["confidences"])[some],
            np.array(bins["accuracies"])[some],
            s=8 + 40 * np.sqrt(counts[some] / counts.max()),
            color=_COLOURS[name],
            alpha=0.8,
        )
        title = f"{name}, error {bins['error']:.2%}"
        axes.set(title=title, xlabel="confidence", ylabel="share that is right")
    return figure


def _risk_coverage(models: Models) -> Figure:
    figure, (axes,) = _panels(1, 6.4, 3.4)
    for name, found in models.items():
        curve = found["risk_coverage"]
        risk = np.array(curve["risk"]) * 100
        axes.plot(np.array(curve["coverage"]) * 100, risk, label=name, color=_COLOURS[name])
    axes.set_yscale("symlog", linthresh=0.01)
    axes.set(xlabel="% of the images answered, most confident first", ylabel="% of these wrong")
    axes.set(xlim=(50, 100), ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def _robustness(models: Models) -> Figure:
    figure, panels = _panels(len(DISTORTIONS), 2.4, 2.8)
    for axes, (name, distortion) in zip(panels, DISTORTIONS.items(), strict=True):
        for model, found in models.items():
            by_strength = found["robustness"][name]
            strengths = [float(each) for each in by_strength]
            accuracies = [100 * each for each in by_strength.values()]
            axes.plot(strengths, accuracies, ".-", label=model, color=_COLOURS[model])
        axes.set_title(name)
        axes.set_xlabel(distortion.unit, fontsize=7)
        axes.set_ylim(0, 101)
    panels[0].set_ylabel("% right")
    panels[0].legend(frameon=False, loc="lower left")
    return figure


def _speed(models: Models) -> Figure:
    figure, (axes,) = _panels(1, 6.4, 3.6)
    for name, found in models.items():
        for each in found.get("speed", ()):
            if each["threads"] != 2 and name != "baseline":
                continue
            if each["runtime"].startswith("tflite"):
                continue
            batches = [rate["batch"] for rate in each["images_per_second"]]
            medians = [rate["median"] for rate in each["images_per_second"]]
            label = f"{name}, {each['form']}"
            style = _LINES[each["form"]]
            axes.plot(batches, medians, style, marker=".", label=label, color=_COLOURS[name])
    axes.set(xscale="log", yscale="log", xlabel="batch", ylabel="images a second, two cores")
    if axes.lines:
        axes.legend(frameon=False, fontsize=7)
    return figure
