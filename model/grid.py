"""Tries the ideas of a recipe one after the other: `python -m model.grid`.

It begins with the recipe's network and nothing else, and puts back one idea in each row, on
top of those before; ideas that the recipe does without are then tried on top of all of it, each
by itself. What each brought on the validation split goes to docs/model-grid.json;
`python -m model.evaluate --report` shows it. Runs that were done before are not done again;
`accurate`, which teaches in one row, is trained if it isn't yet.
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
    "turned, stretched, slanted, moved": ("rotation", "scale", "shear", "shift"),
    "bent (elastic)": ("elastic",),
    "strokes thicker and thinner": ("thicken",),
    "rectangles erased": ("erase", "hole_side"),
    "rectangles of other images (cutmix)": ("cutmix",),
    "mixup": ("mixup",),
    "label smoothing": ("label_smoothing",),
    "average of the weights": ("average",),
    "distillation": ("teachers", "distillation"),
}
"""What each idea is in a recipe or its augmentation."""

SETTINGS: dict[str, Any] = {
    "elastic": 3.0,
    "cutmix": 0.2,
    "mixup": 0.3,
    "teachers": ("accurate",),
    "distillation": 0.5,
}
"""What an idea is tried with that the recipe does without."""

_BENDS = {field.name for field in dataclasses.fields(Augmentation)}


def tries(recipe: Recipe, epochs: int) -> Iterator[tuple[str, Recipe]]:
    """The recipes to train: each with one idea more than the one before, then the other ideas.

    Args:
        recipe: The one that has all ideas that are good for it.
        epochs: Passes over the data, in the recipe's place.
    """
    found = _with(
        dataclasses.replace(recipe, augmentation=Augmentation(), epochs=epochs),
        {"label_smoothing": 0.0, "average": 0.0, "teachers": (), "distillation": 0.0},
    )
    yield "the network alone", found
    others = []
    for idea, words in IDEAS.items():
        more = _with(found, {word: _of(recipe, word) for word in words})
        if more == found:
            others.append(idea)
        else:
            found = more
            yield idea, found
    for idea in others:
        settings = {word: SETTINGS[word] for word in IDEAS[idea] if word in SETTINGS}
        if settings and recipe.name not in settings.get("teachers", ()):
            yield f"all of these, and {idea}", _with(found, settings)


def _of(recipe: Recipe, word: str) -> Any:
    return getattr(recipe.augmentation if word in _BENDS else recipe, word)


def _with(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    bends = {word: value for word, value in settings.items() if word in _BENDS}
    rest = {word: value for word, value in settings.items() if word not in _BENDS}
    augmentation = dataclasses.replace(recipe.augmentation, **bends)
    return dataclasses.replace(recipe, augmentation=augmentation, **rest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.grid",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  python -m model.grid\n  python -m model.grid --epochs 30\n",
    )
    parser.add_argument("recipe", nargs="?", default="fast", help="a name in the file of recipes")
    parser.add_argument("--epochs", type=positive, default=8, help="of each try (%(default)s)")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of all runs (%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="(%(default)s)")
    return parser


def main() -> int:
    """Try all ideas; exit status 0 done, 1 trouble, 2 wrong recipe, 130 Ctrl-C."""
    options = _parser().parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    screen = Console(stderr=True)
    try:
        _try_all(options, screen)
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
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    print(options.out)
    return 0


def _try_all(options: argparse.Namespace, screen: Console) -> None:
    recipes = load_recipes()
    if options.recipe not in recipes:
        raise RecipeError(f"no recipe is named {options.recipe}; there are {', '.join(recipes)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    split, validation = dataset.load_split("train"), dataset.load_split("validation")
    rows: list[dict[str, Any]] = []
    for idea, recipe in tries(recipes[options.recipe], options.epochs):
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
        said = (
            f"`python -m model.grid`: the network of `{options.recipe}`, {options.epochs} epochs "
            "each, one idea more in each row, then those that it does without, each by itself; on "
            "the 10,000 images of the validation split. Two rows differ by chance if they differ "
            "by less than about 0.2 points."
        )
        options.out.write_text(json.dumps({"said": said, "rows": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
