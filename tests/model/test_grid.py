"""The grid of ideas: its rows, and errors of its command line."""

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


def test_the_first_row_has_no_idea_and_a_later_row_has_all_of_the_recipe(recipe: Recipe) -> None:
    found = [each for _, each in grid.grid_recipes(recipe, 3)]
    assert (found[0].label_smoothing, found[0].average, found[0].teachers) == (0, 0, ())
    assert found[0].network == recipe.network
    assert dataclasses.replace(recipe, epochs=3) in found


def test_no_two_rows_are_the_same(recipe: Recipe) -> None:
    found = [each for _, each in grid.grid_recipes(recipe, 3)]
    assert all(one != other for one, other in itertools.combinations(found, 2))


def test_each_row_changes_only_the_settings_of_its_idea(recipe: Recipe) -> None:
    whole = dataclasses.replace(recipe, epochs=3)
    rows = list(grid.grid_recipes(recipe, 3))
    for (_, before), (message, after) in itertools.pairwise(rows):
        idea = message.removeprefix("all of these, and ")
        assert changed(before if message == idea else whole, after) <= set(grid.IDEAS[idea])


def test_ideas_that_a_recipe_does_not_use_get_a_row() -> None:
    message = [message for message, _ in grid.grid_recipes(load_recipes()["fast"], 3)]
    assert "all of these, and bent (elastic)" in message
    assert "all of these, and distillation" in message


def changed(before: Recipe, after: Recipe) -> set[str]:
    """Returns the names of the settings that differ, those of the augmentation included."""
    pairs = [(before, after), (before.augmentation, after.augmentation)]
    return {
        field.name
        for one, other in pairs
        for field in dataclasses.fields(one)  # type: ignore[arg-type]
        if getattr(one, field.name) != getattr(other, field.name)
    } - {"augmentation"}


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls the command line without a data set; returns exit status and standard error."""

    def unavailable(name: str) -> None:
        raise dataset.DatasetError("no data")

    def call(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(dataset, "load_split", unavailable)
        monkeypatch.setattr(sys, "argv", ["grid", *map(str, arguments)])
        try:
            status = grid.main()
        except SystemExit as stop:
            status = int(str(stop.code))
        return status, capsys.readouterr().err

    return call


def test_an_unknown_recipe_is_refused(call: Any) -> None:
    assert call("fats") == (2, "error: no recipe is named fats; there are fast, accurate\n")


def test_zero_epochs_are_refused(call: Any) -> None:
    status, message = call("--epochs", "0")
    assert status == 2
    assert "--epochs: expected a whole number from 1 on, got '0'" in message


def test_an_invalid_path_for_the_results_fails_before_any_training(
    call: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    status, message = call("--out", tmp_path / "file" / "grid.json")
    assert (status, message.count("\n")) == (1, 1)
    assert str(tmp_path / "file") in message


def test_the_folder_for_the_results_is_created(call: Any, tmp_path: Path) -> None:
    assert call("--out", tmp_path / "new" / "grid.json") == (1, "error: no data\n")
    assert (tmp_path / "new").is_dir()
