"""Figures: how they are stored, compared and reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.figures import Figures, Spread, load, ratio, save
from bench.report import write_report
from bench.targets import targets


def figures_of(**rates: tuple[float, ...]) -> Figures:
    """Returns figures with the rates of systems, one rate for each repetition."""
    figures = Figures({"command peers": "python -m bench --only peers"})
    for system, values in rates.items():
        for value in values:
            figures.add("system", "messages/s", value, system=system, format="ndarray")
    return figures


def test_a_ratio_is_taken_within_each_repetition() -> None:
    # The machine was slower in the second repetition, which a ratio of medians would not show.
    figures = figures_of(ours=(100.0, 40.0, 90.0), plain=(50.0, 20.0, 10.0))
    found = ratio(figures.one("system", system="ours"), figures.one("system", system="plain"))
    assert found == Spread(2.0, 2.0, 9.0)


def test_a_target_is_met_by_its_median(tmp_path: Path) -> None:
    figures = figures_of(ours=(6001.0, 5000.0, 7000.0), seldon_rest=(100.0, 100.0, 100.0))
    target = targets(figures)[0]
    assert target.what == "drain, ndarray, against a REST call each"
    assert target.is_met
    assert target.found == Spread(50.0, 60.01, 70.0)
    slower = figures_of(ours=(5999.0,), seldon_rest=(100.0,))
    target = targets(slower)[0]
    assert not target.is_met


def test_a_target_without_figures_is_not_met() -> None:
    assert {target.found for target in targets(Figures())} == {None}
    assert not any(target.is_met for target in targets(Figures()))


def test_a_later_run_replaces_its_figures_and_keeps_the_others(tmp_path: Path) -> None:
    first, second = figures_of(ours=(1.0, 2.0), plain=(3.0,)), figures_of(ours=(4.0,))
    save(first, tmp_path / "first")
    save(second, tmp_path / "second")
    found = load([tmp_path / "first", tmp_path / "second"])
    ours, plain = found.one("system", system="ours"), found.one("system", system="plain")
    assert ours is not None
    assert plain is not None
    assert (ours.values, plain.values) == ((4.0,), (3.0,))


def test_a_report_keeps_the_text_around_its_figures(tmp_path: Path) -> None:
    path = write_report(figures_of(ours=(1.0,)), tmp_path)
    path.write_text("# Ours\n\n" + path.read_text().replace("-->\n", "-->\n", 1) + "Why so.\n")
    again = write_report(figures_of(ours=(12345.0,)), tmp_path).read_text()
    assert again.startswith("# Ours\n")
    assert again.endswith("Why so.\n")
    assert "12,345" in again
    assert again.count("## Side by side") == 1
    plot = (tmp_path / "benchmark" / "throughput_by_format_and_system.svg").read_text()
    assert "Throughput" in plot


def test_several_matching_figures_are_an_error() -> None:
    with pytest.raises(LookupError):
        figures_of(ours=(1.0,), plain=(1.0,)).one("system", format="ndarray")
