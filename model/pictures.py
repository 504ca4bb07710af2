"""Draws images and answers for `explore.ipynb`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model.calibration import Reliability, RiskCoverage
from model.labels import ROMAJI


def grid(images: NDArray[Any], titles: Sequence[str] = (), columns: int = 10) -> Figure:
    """Draws images side by side.

    Args:
        images: (n, 28, 28) or (n, 28, 28, 1), uint8 or ink from 0 to 1.
        titles: titles above the images.
        columns: number of images in a row.
    """
    rows = -(-len(images) // columns)
    high = 0.8 if not titles else 1.05
    figure = Figure(figsize=(0.8 * columns, high * rows), layout="constrained")
    panels: Any = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat:
        panel.axis("off")
    full = 255 if images.dtype == np.uint8 else 1
    for index, (panel, image) in enumerate(zip(panels.flat, images, strict=False)):
        panel.imshow(np.reshape(image, (28, 28)), cmap="gray_r", vmin=0, vmax=full)
        if index < len(titles):
            panel.set_title(titles[index], fontsize=8)
    return figure


def confusion(labels: NDArray[Any], answers: NDArray[Any]) -> Figure:
    """Draws which characters are mistaken for which.

    Args:
        labels: (n,) indices of the right classes.
        answers: (n,) indices of the answered classes.
    """
    counts = np.zeros((len(ROMAJI), len(ROMAJI)), int)
    np.add.at(counts, (labels, answers), 1)
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    draw_confusion(figure.subplots(), counts)
    return figure


def draw_confusion(axes: Any, counts: NDArray[Any]) -> None:
    """Draws the mistakes of a confusion matrix.

    Args:
        axes: axes of matplotlib.
        counts: int (10, 10), answers by right class (rows) and answered class (columns).
    """
    mistakes = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    axes.imshow(mistakes, cmap="Blues")
    for row, column in zip(*np.nonzero(mistakes), strict=True):
        dark = mistakes[row, column] > mistakes.max() / 2
        colour = "white" if dark else "black"
        text = str(mistakes[row, column])
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    ticks = range(len(ROMAJI))
    axes.set(xticks=ticks, xticklabels=ROMAJI, yticks=ticks, yticklabels=ROMAJI)
    axes.set(xlabel="answer", ylabel="truth")


def reliability(found: Mapping[str, Reliability]) -> Figure:
    """Draws the share of right answers by confidence.

    Args:
        found: reliability, by the name in the legend.
    """
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linestyle=":")
    for name, each in found.items():
        some = each.counts > 0
        label = f"{name}: error {each.error:.2%}"
        axes.plot(each.confidences[some], each.accuracies[some], marker="o", label=label)
    axes.set(xlabel="mean confidence", ylabel="share of right answers")
    axes.legend()
    return figure


def risk(curve: RiskCoverage) -> Figure:
    """Draws the share of wrong answers when the least confident answers are left out."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(curve.coverage, curve.risk)
    axes.set(xlabel="share of images answered", ylabel="share of those wrong")
    return figure


def scores(found: Mapping[str, NDArray[Any]], above: float) -> Figure:
    """Draws the distribution of outlier scores by kind of picture.

    Args:
        found: outlier scores from 0 to 1, by kind of picture.
        above: score above which a picture is flagged.
    """
    figure = Figure(figsize=(6, 0.4 * len(found) + 1), layout="constrained")
    axes = figure.subplots()
    axes.boxplot(list(found.values()), orientation="horizontal", showfliers=False)
    axes.axvline(above, color="#d55e00", linestyle="--")
    axes.set_yticks(range(1, len(found) + 1), list(found))
    axes.set(xlabel="outlier score", xlim=(-0.02, 1.02))
    return figure
