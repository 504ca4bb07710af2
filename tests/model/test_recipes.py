"""The file of recipes, and the runs of recipes."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.artefacts import SHIPPED, read_artefact
from model.chosen import VARIANTS
from model.config import Augmentation, Network, Recipe, RecipeError, Stage, load_recipes
from model.dataset import Split
from model.feedback import Feedback
from model.train import RUNS, plan

IMAGES = 50_000
PLAIN = Recipe("plain", Network((Stage(8),)), teachers=("other",))
OTHER = Recipe("other", Network((Stage(8),)))


def recipes(tmp_path: Path, text: str) -> dict[str, Recipe]:
    path = tmp_path / "recipes.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipes(path)


def folder(
    recipe: Recipe, other: Recipe = OTHER, images: int = IMAGES, feedback: tuple[Feedback, ...] = ()
) -> str:
    known = {recipe.name: recipe, other.name: other}
    return plan(known, recipe.name, images, Path("runs"), feedback=feedback).folder.name


def changed(value: Any) -> Any:
    """Returns another value of the same type."""
    if isinstance(value, str):
        return {"sgd": "adamw", "mixed_bfloat16": "float32"}.get(value, value + "x")
    if isinstance(value, int | float):
        return value + 1
    return value[:-1]


def variations(value: Any) -> list[Any]:
    """Returns a recipe, or a part of one, with each of its settings changed in turn."""
    found = []
    for field in dataclasses.fields(value):
        setting = getattr(value, field.name)
        nested = dataclasses.is_dataclass(setting)
        inner = variations(setting) if nested else [changed(setting)]
        found += [dataclasses.replace(value, **{field.name: each}) for each in inner]
    return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_shipped_network_was_trained_by_the_recipe_of_its_name(variant: str) -> None:
    made_by = read_artefact(SHIPPED / variant).made_by
    assert plan(load_recipes(), variant, IMAGES, RUNS).folder.name == made_by["run"]["run"]


def test_missing_settings_of_a_recipe_have_defaults(tmp_path: Path) -> None:
    (found,) = recipes(tmp_path, "a: {network: {stages: [{channels: 8}]}, epochs: 3}").values()
    assert found == Recipe("a", Network((Stage(8),)), epochs=3)


def test_an_integer_is_valid_for_a_float_setting(tmp_path: Path) -> None:
    text = "a: {network: {stages: [{channels: 8}]}, augmentation: {rotation: 15}}"
    assert recipes(tmp_path, text)["a"].augmentation == Augmentation(rotation=15.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: {network: {stages: []}, epoch: 3}", "a: unknown epoch; known are name, network"),
        ("a: {network: {stages: [{channel: 8}]}}", "a.network.stages[0]: unknown channel"),
        ("a: {network: {stages: [{}]}}", "a.network.stages[0]:.*channels"),
        ("a: {epochs: 3}", "a:.*network"),
        ("a: {network: {stages: []}, epochs: many}", "a.epochs: expected int, got 'many'"),
        ("a: {network: {stages: []}, epochs: 2.5}", "a.epochs: expected int, got 2.5"),
        ("a: {network: {stages: []}, average: true}", "a.average: expected float, got True"),
        ("a: {network: {stages: 3}}", "a.network.stages: expected"),
        ("a: {network: {stages: []}, optimizer: adam}", "a.optimizer: expected sgd or adamw"),
        ("a: {network: {stages: []}, precision: half}", "a.precision: expected mixed_bfloat16 or"),
        ("a: {network: {stages: []}, teachers: [b]}", "a: no recipe is named b"),
        ("a: {network: {stages: []}, epochs: 0}", "a.epochs: expected 1 or more, got 0"),
        ("a: {network: {stages: []}, 1: 2, b: 3}", "a: unknown 1, b; known are"),
        ("a:", "a: expected settings below it, got None"),
        ("a: [b]", "a: expected settings below it, got ['b']"),
        ("- a", "has no recipes"),
        ("", "has no recipes"),
        ("a: {", "cannot read the recipes"),
    ],
)
def test_the_error_for_an_invalid_recipe_names_the_setting(
    tmp_path: Path, text: str, complaint: str
) -> None:
    pattern = complaint.replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(RecipeError, match=pattern):
        recipes(tmp_path, text)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read the recipes in .*none\.yaml"):
        load_recipes(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match=r"cannot read the recipes in .*recipes\.yaml"):
        load_recipes(tmp_path / "recipes.yaml")


def test_a_run_has_the_same_folder_each_time() -> None:
    assert folder(PLAIN) == folder(dataclasses.replace(PLAIN))
    assert folder(PLAIN).startswith("plain-")


@pytest.mark.parametrize("other", variations(PLAIN), ids=str)
def test_a_run_with_any_other_setting_has_another_folder(other: Recipe) -> None:
    assert folder(other).split("-")[1] != folder(PLAIN).split("-")[1]


def test_a_run_with_another_teacher_or_fewer_images_has_another_folder() -> None:
    assert folder(PLAIN, dataclasses.replace(OTHER, epochs=1)) != folder(PLAIN)
    assert folder(PLAIN, images=100) != folder(PLAIN)


def test_the_runs_of_student_and_teacher_depend_on_the_feedback() -> None:
    nothing = Split(np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8))
    one, other = (Feedback(nothing, digit * 64) for digit in "ab")
    given = [(), (one,), (other,), (one, other)]
    assert len({folder(PLAIN, feedback=each) for each in given}) == 4
    assert len({folder(OTHER, feedback=each) for each in given}) == 4
    run = plan({"plain": PLAIN, "other": OTHER}, "plain", IMAGES, Path("runs"), feedback=(one,))
    assert [teacher.folder.name for teacher in run.teachers] == [folder(OTHER, feedback=(one,))]
    assert all(each.feedback == (one,) for each in (run, *run.teachers))


def test_the_run_of_a_teacher_does_not_depend_on_its_student() -> None:
    run = plan({"plain": PLAIN, "other": OTHER}, "plain", IMAGES, Path("runs"))
    assert [teacher.folder.name for teacher in run.teachers] == [folder(OTHER, PLAIN)]


def test_recipes_that_teach_each_other_are_refused() -> None:
    circle = dataclasses.replace(OTHER, teachers=("plain",))
    with pytest.raises(RecipeError, match="plain learns from other learns from plain"):
        folder(PLAIN, circle)
    itself = dataclasses.replace(OTHER, teachers=("other",))
    with pytest.raises(RecipeError, match="other is its own teacher"):
        folder(itself, PLAIN)
