"""Trains a network: `python -m model.train fast`.

Weights are fitted to the training split only. The validation split selects the settings and
the calibration, and only `model.evaluate` measures with the test split. The same command resumes
a stopped run at its last checkpoint. With `TF_CONFIG` in the environment, as Kubeflow sets it,
the processes that it names train one network together.
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
from model.feedback import Feedback, FeedbackError, load_feedback, with_feedback, without_held_out

if TYPE_CHECKING:
    import keras

    from model.trainer import Trainer

RUNS = Path(__file__).resolve().parent.parent / "runs"
ADVICE = "training needs TensorFlow: pip install -r requirements-train.txt"
_CHECKPOINT_EVERY_S = 60.0


@dataclass(frozen=True)
class Run:
    """A recipe, its data, and the folder of its training.

    Attributes:
        recipe: recipe of the network.
        images: number of training images, which are the first ones of the training split.
        teachers: runs of the recipe's teachers.
        folder: folder of the run; its name has the hash of everything that affects the result.
        feedback: files of corrections that are added to the training images.
    """

    recipe: Recipe
    images: int
    teachers: tuple["Run", ...]
    folder: Path
    feedback: tuple[Feedback, ...] = ()

    @property
    def model(self) -> Path:
        """The trained Keras model; it exists once the run is complete."""
        return self.folder / "model.keras"

    @property
    def facts(self) -> Path:
        """A JSON file with settings and results; it exists once the run is complete."""
        return self.folder / "run.json"


def plan(
    recipes: dict[str, Recipe],
    name: str,
    images: int,
    runs: Path,
    students: tuple[str, ...] = (),
    feedback: tuple[Feedback, ...] = (),
) -> Run:
    """Returns the run of a recipe, with the runs of its teachers.

    Args:
        recipes: all recipes by name.
        name: name of the recipe.
        images: number of training images.
        runs: the folder of all runs.
        students: names of recipes, each of which has the next as a teacher; the last one has
            this recipe as a teacher.
        feedback: files of corrections; the teachers get them too.

    Raises:
        RecipeError: there is no such recipe, or it is its own teacher, directly or through other
            recipes.
    """
    if name not in recipes:
        raise RecipeError(f"no recipe is named {name}; there are {', '.join(recipes)}")
    if name in students:
        raise RecipeError(f"{name} is its own teacher: {' learns from '.join((*students, name))}")
    recipe = recipes[name]
    teachers = tuple(
        plan(recipes, teacher, images, runs, (*students, name), feedback)
        for teacher in recipe.teachers
    )
    parts = [
        *(recipe.settings(), dataset.MD5, images),
        [teacher.folder.name for teacher in teachers],
    ]
    if feedback:  # runs without feedback keep the names from before feedback existed
        parts.append([each.sha256 for each in feedback])
    return Run(recipe, images, teachers, runs / f"{name}-{digest(*parts)}", feedback)


def train(
    run: Run, split: Split, validation: Split, screen: Console, strategy: Any = None
) -> "keras.Model":
    """Trains a run's network, after its teachers, or loads it if the run is complete.

    Args:
        run: run to train or to load.
        split: training images.
        validation: images for the reported accuracy.
        screen: console for the progress.
        strategy: a `tf.distribute` strategy that joins processes; None trains in this process
            alone.

    Returns:
        A model from float32 (n, 28, 28, 1), ink from 0 to 1, to logits, with the moving
        average of the run's weights.
    """
    import keras

    from model.trainer import Trainer

    if run.model.is_file():
        screen.print(f"{run.folder}: already trained")
        return keras.saving.load_model(run.model, compile=False)
    teachers = [
        (teacher.recipe.network, train(teacher, split, validation, screen, strategy))
        for teacher in run.teachers
    ]
    run.folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(run.recipe, split, run.folder, teachers, strategy)
    seconds = _run_epochs(run, trainer, validation, screen)
    if trainer.is_chief:
        _write_results(run, trainer, seconds, validation)
    return trainer.averaged


def _run_epochs(run: Run, trainer: "Trainer", validation: Split, screen: Console) -> float:
    """Trains to the last epoch, shows the progress, and writes checkpoints.

    Returns:
        The duration of the training in seconds, earlier attempts included.
    """
    import tensorflow as tf

    from model.progress import Progress
    from model.trainer import accuracy

    clock = run.folder / "seconds.json"
    before = _seconds_before(clock)
    started = saved = time.monotonic()
    recipe = run.recipe
    validate_every = max(1, recipe.epochs // 20)
    logs = (
        tf.summary.create_file_writer(str(run.folder / "tensorboard"))
        if trainer.is_chief
        else tf.summary.create_noop_writer()
    )
    with Progress(run.folder.name, recipe.epochs, trainer.steps, trainer.epoch, screen) as progress:
        for steps in trainer.epochs():
            loss = progress.follow(steps)
            done = trainer.epoch + 1
            found = accuracy(trainer.averaged, validation) if done % validate_every == 0 else None
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
    """Returns the seconds that a stopped run took; 0 if they are unknown."""
    try:
        return float(json.loads(clock.read_text())["seconds"])
    except (OSError, ValueError):
        return 0.0


def _write_results(run: Run, trainer: "Trainer", seconds: float, validation: Split) -> None:
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
    # The model is written last, because its existence marks the run as complete.
    unfinished = run.model.with_suffix(".unfinished.keras")
    trainer.averaged.save(unfinished)
    unfinished.replace(run.model)


def _check_batches(run: Run) -> None:
    """Checks that a run and its teachers have batches that all processes can share.

    Raises:
        RecipeError: a batch is empty, has more images than the run, or cannot be shared.
        processes.ProcessesError: `TF_CONFIG` is invalid.
    """
    count = processes.count()
    batch = run.recipe.batch
    images = run.images + sum(len(each.split.labels) for each in run.feedback)
    if not 0 < batch <= images:
        raise RecipeError(f"{run.recipe.name}: {images} images cannot fill a batch of {batch}")
    if batch % (2 * count):  # the two images of a mixed pair must be in the same process
        raise RecipeError(
            f"{run.recipe.name}: a batch of {batch} images does not give each of {count} processes "
            "the same even number of images"
        )
    for teacher in run.teachers:
        _check_batches(teacher)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m model.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m model.train              the default\n"
        "  python -m model.train accurate\n"
        "  python -m model.train fast --epochs 2 --limit 5000    a trial of two minutes\n"
        "  python -m model.train fast --feedback corrections.npz\n"
        "  tensorboard --logdir runs          shows the progress\n",
    )
    made.add_argument(
        "recipe", nargs="?", default="fast", help="name in the file of --recipes (%(default)s)"
    )
    made.add_argument("--recipes", type=Path, default=RECIPES, help="file (%(default)s)")
    made.add_argument("--runs", type=Path, default=RUNS, help="folder of all runs (%(default)s)")
    made.add_argument("--epochs", type=positive, help="passes over the data, overrides the recipe")
    made.add_argument("--limit", type=positive, help="train only on the first LIMIT images")
    made.add_argument(
        "--feedback",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="add images that `python -m consumer.feedback` wrote, without those of the validation "
        "and test splits; may be given several times",
    )
    return made


def positive(text: str) -> int:
    """Parses a positive integer of a command line.

    Raises:
        argparse.ArgumentTypeError: the text is not a positive integer.
    """
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def main() -> int:
    """Trains a network.

    Returns:
        Exit status: 0 on success, 1 on an error, 2 for a wrong recipe, feedback or TF_CONFIG, 130
        on Ctrl-C.
    """
    arguments = parser().parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's build messages
    try:
        recipes = load_recipes(arguments.recipes)
        if arguments.epochs:
            recipes = {
                name: dataclasses.replace(recipe, epochs=arguments.epochs)
                for name, recipe in recipes.items()
            }
        plan(recipes, arguments.recipe, 0, arguments.runs)  # a wrong name fails before a download
        feedback = tuple(load_feedback(path) for path in arguments.feedback)
        split, validation = dataset.load_split("train"), dataset.load_split("validation")
        split = Split(split.images[: arguments.limit], split.labels[: arguments.limit])
        if feedback:
            held_out = (validation, dataset.load_split("test"))
            feedback = tuple(without_held_out(each, held_out) for each in feedback)
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
        print("stopped; run the same command again to resume", file=sys.stderr)
        return 130
    print(run.model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
