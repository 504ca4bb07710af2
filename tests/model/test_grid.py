"""The grid of ideas: what is tried, and wrong calls."""

import dataclasses
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest

from model import dataset, grid
from model.config import Recipe, load_recipes


@pytest.fixture(params=load_recipes().values(), ids=lambda recipe: recipe.name)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    found: Recipe = request.param
    return found


def test_the_first_try_has_no_idea_and_a_later_one_all_of_the_recipe(recipe: Recipe) -> None:
    found = [each for _, each in grid.tries(recipe, 3)]
    assert (found[0].label_smoothing, found[0].average, found[0].teachers) == (0, 0, ())
    assert found[0].network == recipe.network
    assert dataclasses.replace(recipe, epochs=3) in found


def test_no_two_tries_are_the_same(recipe: Recipe) -> None:
    found = [each for _, each in grid.tries(recipe, 3)]
    assert all(one != other for one, other in itertools.combinations(found, 2))


def test_each_try_changes_only_what_its_idea_names(recipe: Recipe) -> None:
    whole = dataclasses.replace(recipe, epochs=3)
    tries = list(grid.tries(recipe, 3))
    for (_, before), (said, after) in itertools.pairwise(tries):
        idea = said.removeprefix("all of these, and ")
        assert changed(before if said == idea else whole, after) <= set(grid.IDEAS[idea])


def test_a_recipe_that_does_without_an_idea_is_tried_with_it() -> None:
    said = [said for said, _ in grid.tries(load_recipes()["fast"], 3)]
    assert "all of these, and bent (elastic)" in said
    assert "all of these, and distillation" in said


def changed(before: Recipe, after: Recipe) -> set[str]:
    """Names of the settings, or those of the augmentation, that are not the same."""
    pairs = [(before, after), (before.augmentation, after.augmentation)]
    return {
        field.name
        for one, other in pairs
        for field in dataclasses.fields(one)  # type: ignore[arg-type]
        if getattr(one, field.name) != getattr(other, field.name)
    } - {"augmentation"}


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls the command line where there are no data; returns exit status and complaint."""

    def away(name: str) -> None:
        raise dataset.DatasetError("no data")

    def call(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(dataset, "load_split", away)
        monkeypatch.setattr(sys, "argv", ["grid", *map(str, arguments)])
        try:
            status = grid.main()
        except SystemExit as stop:
            status = int(str(stop.code))
        return status, capsys.readouterr().err

    return call


def test_a_name_of_no_recipe_is_refused(call: Any) -> None:
    assert call("fats") == (2, "error: no recipe is named fats; there are fast, accurate\n")


def test_no_epochs_are_refused(call: Any) -> None:
    status, said = call("--epochs", "0")
    assert status == 2
    assert "--epochs: expected a whole number from 1 on, got '0'" in said


def test_a_place_for_the_results_that_cannot_be_is_told_before_anything_is_trained(
    call: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    status, said = call("--out", tmp_path / "file" / "grid.json")
    assert (status, said.count("\n")) == (1, 1)
    assert str(tmp_path / "file") in said


def test_a_folder_for_the_results_is_made(call: Any, tmp_path: Path) -> None:
    assert call("--out", tmp_path / "new" / "grid.json") == (1, "error: no data\n")
    assert (tmp_path / "new").is_dir()
