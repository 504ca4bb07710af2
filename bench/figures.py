"""Stores the measured figures: one for each case, with a value for each repetition."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum of some values."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class Figure:
    """One measured quantity.

    Attributes:
        what: name of the quantity, such as `drain`.
        labels: the case: format, workers and so on.
        unit: unit of the values.
        values: one value for each repetition, in their order.
    """

    what: str
    labels: Mapping[str, str]
    unit: str
    values: tuple[float, ...]

    @property
    def spread(self) -> Spread:
        """Minimum, median and maximum of the values."""
        return Spread(min(self.values), statistics.median(self.values), max(self.values))


@dataclass
class Figures:
    """All figures of one run of the benchmark.

    Attributes:
        facts: the machine, the versions, the command.
        figures: the figures, in the order of their first value.
    """

    facts: dict[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)

    def add(self, what: str, unit: str, value: float, **labels: object) -> None:
        """Adds one repetition's value to a figure."""
        texts = {name: str(label) for name, label in labels.items()}
        for index, figure in enumerate(self.figures):
            if figure.what == what and figure.labels == texts:
                values = (*figure.values, value)
                self.figures[index] = Figure(what, texts, unit, values)
                return
        self.figures.append(Figure(what, texts, unit, (value,)))

    def all(self, what: str, **labels: object) -> list[Figure]:
        """Returns the figures of this name and with these labels, in order of measurement."""
        texts = {name: str(label) for name, label in labels.items()}
        return [
            figure
            for figure in self.figures
            if figure.what == what and texts.items() <= figure.labels.items()
        ]

    def one(self, what: str, **labels: object) -> Figure | None:
        """Returns the only figure of this name and with these labels; None if there is none.

        Raises:
            LookupError: several figures match.
        """
        found = self.all(what, **labels)
        if len(found) > 1:
            raise LookupError(f"{what} {labels} matches {len(found)} figures")
        return found[0] if found else None


def ratio(upper: Figure | None, lower: Figure | None) -> Spread | None:
    """Returns the spread of the ratios of two figures; None if a figure is missing.

    The speed of shared machines drifts. So each ratio has two values of the same repetition, which
    were measured shortly after each other.
    """
    if upper is None or lower is None:
        return None
    ratios = [a / b for a, b in zip(upper.values, lower.values, strict=False)]
    return Spread(min(ratios), statistics.median(ratios), max(ratios))


def save(figures: Figures, path: Path) -> None:
    """Writes the figures as JSON."""
    document = {"facts": figures.facts, "figures": [asdict(item) for item in figures.figures]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(paths: Iterable[Path]) -> Figures:
    """Reads files that `save` wrote; a figure in a later file replaces the same earlier figure."""
    found = Figures()
    for path in paths:
        document = json.loads(path.read_text(encoding="utf-8"))
        found.facts.update(document["facts"])
        for item in document["figures"]:
            figure = Figure(item["what"], item["labels"], item["unit"], tuple(item["values"]))
            found.figures = [
                known
                for known in found.figures
                if (known.what, known.labels) != (figure.what, figure.labels)
            ]
            found.figures.append(figure)
    return found
