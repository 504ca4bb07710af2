"""Trains a network: `python -m model.train fast`.

Only the training split is fitted to. The validation split chooses the settings and the
calibration; the test split is looked at by `model.evaluate` alone. A run that was stopped
goes on at its last checkpoint when the same command is given again. With `TF_CONFIG` in the
environment, as Kubeflow sets it, all processes named there train one network together.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from model import dataset, processes
from model.config import RECIPES, Recipe, RecipeError, digest, load_recipes
from model.dataset import Split
from model.feedback import Feedback, FeedbackError, load_feedback, with_feedback, without

if TYPE_CHECKING:
    import keras

    from model.trainer import Trainer

RUNS = Path(__file__).resolve().parent.parent / "runs"
ADVICE = "training needs TensorFlow: pip install -r requirements-train.txt"
_CHECKPOINT_EVERY_S = 60.0


@dataclass(frozen=True)
class Run:
    """A recipe on some data, and the folder where its training is.

    Attributes:
        recipe: The recipe.
        images: How many training images it sees, from the first on.
        teachers: The runs of its teachers.
        folder: Named by the hash of all that decides what comes out.
        feedback: Files of corrections whose images it sees as well.
    """

    recipe: Recipe
    images: int
    teachers: tuple["Run", ...]
    folder: Path
    feedback: tuple[Feedback, ...] = ()

    @property
    def model(self) -> Path:
        """The trained Keras model, there once the run is done."""
        return self.folder / "model.keras"

    @property
    def facts(self) -> Path:
        """A JSON file that says what made the model, there once the run is done."""
        return self.folder / "run.json"


def plan(
    recipes: dict[str, Recipe],
    name: str,
    images: int,
    runs: Path,
    pupils: tuple[str, ...] = (),
    feedback: tuple[Feedback, ...] = (),
) -> Run:
    """Find a recipe's run, and those of its teachers.

    Args:
        recipes: All recipes.
        name: The one to train.
        images: Training images.
        runs: The folder of all runs.
        pupils: Those that this one is a teacher for, each the next one's.
        feedback: Files of corrections, which its teachers see as well.

    Raises:
        RecipeError: There is no such recipe, or it teaches itself.
    """
    if name not in recipes:
        raise RecipeError(f"no recipe is named {name}; there are {', '.join(recipes)}")
    if name in pupils:
        raise RecipeError(f"{name} is its own teacher: {' learns from '.join((*pupils, name))}")
    recipe = recipes[name]
    teachers = tuple(
        plan(recipes, teacher, images, runs, (*pupils, name), feedback)
        for teacher in recipe.teachers
    )
    parts = [
        *(recipe.settings(), dataset.MD5, images),
        [teacher.folder.name for teacher in teachers],
    ]
    if feedback:  # without any, runs are called what they were before there was such a thing
        parts.append([each.sha256 for each in feedback])
    return Run(recipe, images, teachers, runs / f"{name}-{digest(*parts)}", feedback)


def train(
    run: Run, split: Split, validation: Split, screen: Console, strategy: Any = None
) -> "keras.Model":
    """Train a run's network, or load it where that was done; its teachers come first.

    Args:
        run: The run.
        split: Training images.
        validation: What progress is reported on.
        screen: Where progress goes.
        strategy: A `tf.distribute` strategy that joins processes; default this one alone.

    Returns:
        A model from float32 (n, 28, 28, 1), ink from 0 to 1, to logits, with the moving
        average of the weights of the run.
    """
    import keras

    from model.trainer import Trainer

    if run.model.is_file():
        screen.print(f"{run.folder}: done before")
        return keras.saving.load_model(run.model, compile=False)
    teachers = [
        (teacher.recipe.network, train(teacher, split, validation, screen, strategy))
        for teacher in run.teachers
    ]
    run.folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(run.recipe, split, run.folder, teachers, strategy)
    seconds = _follow(run, trainer, validation, screen)
    if trainer.is_chief:
        _finish(run, trainer, seconds, validation)
    return trainer.averaged


def _follow(run: Run, trainer: "Trainer", validation: Split, screen: Console) -> float:
    """Train to the end, showing how it goes; returns the seconds that all of it took."""
    import tensorflow as tf

    from model.progress import Progress
    from model.trainer import accuracy

    clock = run.folder / "seconds.json"
    before = _seconds_before(clock)
    started = saved = time.monotonic()
    recipe = run.recipe
    look_every = max(1, recipe.epochs // 20)
    logs = (
        tf.summary.create_file_writer(str(run.folder / "tensorboard"))
        if trainer.is_chief
        else tf.summary.create_noop_writer()
    )
    with Progress(run.folder.name, recipe.epochs, trainer.steps, trainer.epoch, screen) as progress:
        for steps in trainer.epochs():
            loss = progress.follow(steps)
            done = trainer.epoch + 1
            found = accuracy(trainer.averaged, validation) if done % look_every == 0 else None
            progress.epoch_done(loss, found)
            with logs.as_default(step=done):
                tf.summary.scalar("loss", loss)
                if found is not None:
                    tf.summary.scalar("validation accuracy", found)
            due = time.monotonic() - saved > _CHECKPOINT_EVERY_S or done == recipe.epochs
            if due and trainer.is_chief:
                trainer.save()
                saved = time.monotonic()
                unfinished = clock.with_suffix(".unfinished")
                unfinished.write_text(json.dumps({"seconds": before + saved - started}))
                unfinished.replace(clock)
    return before + time.monotonic() - started


def _seconds_before(clock: Path) -> float:
    """How long a run took before it was stopped; 0 if that is not known."""
    try:
        return float(json.loads(clock.read_text())["seconds"])
    except (OSError, ValueError):
        return 0.0


def _finish(run: Run, trainer: "Trainer", seconds: float, validation: Split) -> None:
    from model.networks import multiply_adds
    from model.trainer import accuracy

    facts: dict[str, Any] = {
        "run": run.folder.name,
        "recipe": run.recipe.settings(),
        "teachers": [teacher.folder.name for teacher in run.teachers],
        "images": run.images,
        "feedback": [each.facts() for each in run.feedback],
        "parameters": trainer.averaged.count_params(),
        "multiply_adds": multiply_adds(trainer.averaged),
        "seconds": round(seconds),
        "validation_accuracy": accuracy(trainer.averaged, validation),
    }
    run.facts.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    # Last, because its being there says that the run is done.
    unfinished = run.model.with_suffix(".unfinished.keras")
    trainer.averaged.save(unfinished)
    unfinished.replace(run.model)


def _check_batches(run: Run) -> None:
    """Look whether there are batches, which all processes can share, for a run and its teachers.

    Raises:
        RecipeError: There are not.
        processes.ProcessesError: `TF_CONFIG` says of no processes.
    """
    count = processes.count()
    batch = run.recipe.batch
    images = run.images + sum(len(each.split.labels) for each in run.feedback)
    if not 0 < batch <= images:
        raise RecipeError(f"{run.recipe.name}: {images} images are no batch of {batch}")
    if batch % (2 * count):  # neighbours are mixed, and must be in the same process
        raise RecipeError(
            f"{run.recipe.name}: a batch of {batch} is no even number for each of {count} processes"
        )
    for teacher in run.teachers:
        _check_batches(teacher)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m model.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m model.train              the default\n"
        "  python -m model.train accurate\n"
        "  python -m model.train fast --epochs 2 --limit 5000    a try of two minutes\n"
        "  python -m model.train fast --feedback corrections.npz\n"
        "  tensorboard --logdir runs          watch it\n",
    )
    made.add_argument("recipe", nargs="?", default="fast", help="a name in the file of recipes")
    made.add_argument("--recipes", type=Path, default=RECIPES, help="(%(default)s)")
    made.add_argument("--runs", type=Path, default=RUNS, help="folder of all runs (%(default)s)")
    made.add_argument("--epochs", type=positive, help="passes over the data, in the recipe's place")
    made.add_argument("--limit", type=positive, help="train on the first LIMIT images only")
    made.add_argument(
        "--feedback",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="add images that `python -m consumer.feedback` wrote, but for those of the validation "
        "and test splits; may be given several times",
    )
    return made


def positive(text: str) -> int:
    """Read a number of things from a command line.

    Raises:
        argparse.ArgumentTypeError: It is none, or 0.
    """
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def main() -> int:
    """Train; exit status 0 done, 1 trouble, 2 wrong recipe, feedback or TF_CONFIG, 130 Ctrl-C."""
    arguments = parser().parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow tells of its own building
    try:
        recipes = load_recipes(arguments.recipes)
        if arguments.epochs:
            recipes = {
                name: dataclasses.replace(recipe, epochs=arguments.epochs)
                for name, recipe in recipes.items()
            }
        plan(recipes, arguments.recipe, 0, arguments.runs)  # no download for a wrong name
        feedback = tuple(load_feedback(path) for path in arguments.feedback)
        split, validation = dataset.load_split("train"), dataset.load_split("validation")
        split = Split(split.images[: arguments.limit], split.labels[: arguments.limit])
        if feedback:
            held_out = (validation, dataset.load_split("test"))
            feedback = tuple(without(each, held_out) for each in feedback)
        images = len(split.labels)
        run = plan(recipes, arguments.recipe, images, arguments.runs, feedback=feedback)
        split = with_feedback(split, feedback)
        _check_batches(run)
        with processes.joined() as strategy:
            train(run, split, validation, Console(stderr=True), strategy)
    except (RecipeError, FeedbackError, processes.ProcessesError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (dataset.DatasetError, processes.ProcessLost, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: {ADVICE} ({error})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    print(run.model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
