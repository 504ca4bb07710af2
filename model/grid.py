"""Trains a recipe with its ideas added one by one: `python -m model.grid`.

The first row is the recipe's network without any idea. Each next row adds one of the recipe's
ideas to the row before. Then follow the ideas that the recipe does not use: a row for each has
this idea and all of the recipe's ideas. The validation accuracies go to docs/model-grid.json, which
`python -m model.evaluate --report` shows. Finished runs are not repeated. The recipe `accurate`
is the teacher of one row, and is trained if necessary.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from model import dataset
from model.config import Augmentation, Recipe, RecipeError, load_recipes
from model.train import ADVICE, RUNS, plan, positive, train

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "model-grid.json"

IDEAS: dict[str, tuple[str, ...]] = {
    "rotated, stretched, slanted, shifted": ("rotation", "scale", "shear", "shift"),
    "bent (elastic)": ("elastic",),
    "strokes thicker and thinner": ("thicken",),
    "rectangles erased": ("erase", "hole_side"),
    "rectangles of other images (cutmix)": ("cutmix",),
    "mixup": ("mixup",),
    "label smoothing": ("label_smoothing",),
    "average of the weights": ("average",),
    "distillation": ("teachers", "distillation"),
}
"""The settings of each idea in a recipe or its augmentation."""

SETTINGS: dict[str, Any] = {
    "elastic": 3.0,
    "cutmix": 0.2,
    "mixup": 0.3,
    "teachers": ("accurate",),
    "distillation": 0.5,
}
"""Settings for the ideas that the recipe does not use."""

_AUGMENTATIONS = {field.name for field in dataclasses.fields(Augmentation)}


def grid_recipes(recipe: Recipe, epochs: int) -> Iterator[tuple[str, Recipe]]:
    """Yields the name and the recipe of each row.

    Args:
        recipe: the recipe with all its ideas.
        epochs: passes over the data, instead of the recipe's.
    """
    found = _with(
        dataclasses.replace(recipe, augmentation=Augmentation(), epochs=epochs),
        {"label_smoothing": 0.0, "average": 0.0, "teachers": (), "distillation": 0.0},
    )
    yield "the network alone", found
    others = []
    for idea, names in IDEAS.items():
        more = _with(found, {name: _setting(recipe, name) for name in names})
        if more == found:
            others.append(idea)
        else:
            found = more
            yield idea, found
    for idea in others:
        settings = {name: SETTINGS[name] for name in IDEAS[idea] if name in SETTINGS}
        if settings and recipe.name not in settings.get("teachers", ()):
            yield f"all of these, and {idea}", _with(found, settings)


def _setting(recipe: Recipe, name: str) -> Any:
    return getattr(recipe.augmentation if name in _AUGMENTATIONS else recipe, name)


def _with(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    changes = {name: value for name, value in settings.items() if name in _AUGMENTATIONS}
    rest = {name: value for name, value in settings.items() if name not in _AUGMENTATIONS}
    augmentation = dataclasses.replace(recipe.augmentation, **changes)
    return dataclasses.replace(recipe, augmentation=augmentation, **rest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.grid",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  python -m model.grid\n  python -m model.grid --epochs 30\n",
    )
    parser.add_argument(
        "recipe", nargs="?", default="fast", help="name in recipes.yaml (%(default)s)"
    )
    parser.add_argument(
        "--epochs", type=positive, default=8, help="epochs of each run (%(default)s)"
    )
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of all runs (%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of results (%(default)s)")
    return parser


def main() -> int:
    """Trains all rows.

    Returns:
        Exit status: 0 on success, 1 on an error, 2 for a wrong recipe, 130 on Ctrl-C.
    """
    options = _parser().parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    screen = Console(stderr=True)
    try:
        _train_all(options, screen)
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (dataset.DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: {ADVICE} ({error})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to continue", file=sys.stderr)
        return 130
    print(options.out)
    return 0


def _train_all(options: argparse.Namespace, screen: Console) -> None:
    recipes = load_recipes()
    if options.recipe not in recipes:
        raise RecipeError(f"no recipe is named {options.recipe}; there are {', '.join(recipes)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    split, validation = dataset.load_split("train"), dataset.load_split("validation")
    rows: list[dict[str, Any]] = []
    for idea, recipe in grid_recipes(recipes[options.recipe], options.epochs):
        all_recipes = {**recipes, options.recipe: recipe}
        run = plan(all_recipes, options.recipe, len(split.labels), options.runs)
        train(run, split, validation, screen)
        facts = json.loads(run.facts.read_text(encoding="utf-8"))
        rows.append(
            {
                "idea": idea,
                "accuracy": facts["validation_accuracy"],
                "seconds": facts["seconds"],
                "run": facts["run"],
            }
        )
        description = (
            f"`python -m model.grid`: the network of `{options.recipe}`, {options.epochs} epochs "
            "each. Each row adds one idea to those before; ideas that the recipe does not use "
            "follow, each alone. The accuracies are those on the 10,000 images of the validation "
            "split. A difference of less than about 0.2 points is chance."
        )
        content = json.dumps({"said": description, "rows": rows}, indent=1)
        options.out.write_text(content + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
