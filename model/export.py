"""Exports a trained network for serving: `python -m model.export fast`.

The artefact is int8; its subfolder `float/` has the same network in float32. Calibration and
thresholds are fitted to the validation split (`model.unfamiliar`). The trained network is saved
beside the artefact, so that other forms need no second training.
`python -m model.export fast --saved-model DIR --triton DIR` writes only the other forms.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model import dataset
from model.artefacts import FLOAT, SHIPPED, Artefact, write_artefact
from model.calibration import fit_temperature, threshold_for
from model.config import RECIPES, RecipeError, load_recipes
from model.dataset import Split
from model.drift_reference import reference
from model.feedback import FeedbackError, load_feedback
from model.loader import Classifier
from model.train import ADVICE, RUNS, Run, plan
from model.unfamiliar import unfamiliar

if TYPE_CHECKING:
    import keras

REPRESENTATIVE = 500
"""Number of training images that calibrate the int8 scales."""

RISK = 0.001
"""Maximum share of wrong answers among the answered unfamiliar images.

The share is half of the 0.2 % that docs/model.md promises, because the images of other writers
may be harder."""

FLAGGED = 0.003
"""Maximum share of validation images that are flagged as outliers."""


@dataclass(frozen=True)
class Served:
    """A network in the form that is served, with its temperature.

    Attributes:
        model: a Keras model, see `model.networks.serving`.
        temperature: divisor of the trained network's logits, which the model's weights include.
    """

    model: "keras.Model"
    temperature: float


def prepare(trained: "keras.Model", run: Run, train: Split, unseen: Split) -> Served:
    """Calibrates a trained network and adds an outlier detector.

    Args:
        trained: the trained network.
        run: run that trained the network.
        train: real images that the detector is fitted to.
        unseen: images that the temperature is fitted to, see `model.unfamiliar`.
    """
    from model.detector import fit_detector
    from model.networks import serving
    from model.trainer import logits

    temperature = fit_temperature(logits(trained, unseen), unseen.labels)
    detector = fit_detector(trained, train.images, run.recipe.seed)
    model = serving(trained, run.recipe.network, temperature, detector)
    return Served(model, temperature)


def convert(served: "keras.Model", train: Split, *, quantise: bool = True) -> bytes:
    """Converts a network to TFLite.

    Convolutions and hidden layers become int8. The layers that compute probabilities and
    scores stay in float32, because int8 has steps of 1/256.

    Args:
        served: a Keras model, see `model.networks.serving`.
        train: images that calibrate the scales of int8 activations.
        quantise: whether to convert to int8; otherwise all layers stay in float32.

    Returns:
        A TFLite model from float32 (n, 28, 28, 1), ink from 0 to 255, to probabilities
        float32 (n, 10) and outlier scores float32 (n, 1).
    """
    import tensorflow as tf

    def representative() -> Iterator[list[Any]]:
        for image in train.images[:REPRESENTATIVE]:
            yield [image[None, ..., None].astype(np.float32)]

    with tempfile.TemporaryDirectory() as folder:
        served.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if not quantise:
            whole: bytes = converter.convert()
            return whole
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        names = [name for name in _tensor_names(converter.convert()) if _stays_float(name)]
        # Only the converter's debugger can exclude operations. The debugger runs TensorFlow's own
        # interpreter, which warns that it is deprecated.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=representative,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                denylisted_ops=["SOFTMAX", "LOGISTIC", "MEAN"], denylisted_nodes=names
            ),
        )
        quantised: bytes = debugger.get_nondebug_quantized_model()
    return quantised


def _stays_float(name: str) -> bool:
    return any(layer in name for layer in ("logits", "outlier", "means"))


def _tensor_names(content: bytes) -> list[str]:
    """Returns the names of all tensors; an operation has the name of its output."""
    from ai_edge_litert.interpreter import Interpreter

    return [tensor["name"] for tensor in Interpreter(model_content=content).get_tensor_details()]


def write(
    folder: Path,
    content: bytes,
    served: Served,
    facts: dict[str, Any],
    validation: Split,
    unseen: Split,
) -> Artefact:
    """Writes an artefact, with thresholds from the answers of its model.

    Args:
        folder: the artefact's folder.
        content: a TFLite model.
        served: the network that was converted to `content`.
        facts: content of the run's `run.json`, with settings and data.
        validation: real images; their outlier scores set the outlier threshold.
        unseen: difficult images; their confidences set the threshold to abstain.
    """
    import keras
    import tensorflow as tf

    classifier = Classifier(content, os.cpu_count() or 1)
    answers = classifier.answers(validation.images)
    assert answers.outlier is not None
    hard = classifier.answers(unseen.images).probabilities
    right = hard.argmax(axis=1) == unseen.labels
    return write_artefact(
        folder,
        "model.tflite",
        content,
        variant=facts["recipe"]["name"],
        abstain_below=threshold_for(RISK, hard.max(axis=1), right),
        outlier_above=round(float(np.quantile(answers.outlier, 1 - FLAGGED)), 4),
        reference=reference(validation.images, answers.probabilities),
        made_by={
            "run": facts,
            "temperature": round(served.temperature, 4),
            "unfamiliar_accuracy": round(float(right.mean()), 4),
            "made_with": {
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
            },
            "data_md5": dataset.MD5,
        },
    )


def load_run(run: Run, shipped: Path) -> tuple["keras.Model", dict[str, Any]]:
    """Loads the network and the `run.json` of a run.

    Args:
        run: run to load; its own folder is tried first.
        shipped: folder of the artefact, which has copies of both files.

    Raises:
        RecipeError: the run is not trained, and the shipped network is from another run.
    """
    import keras

    for folder in (run.folder, shipped):
        facts = folder / run.facts.name
        if (folder / run.model.name).is_file() and facts.is_file():
            known = json.loads(facts.read_text(encoding="utf-8"))
            if known["run"] == run.folder.name:
                return keras.saving.load_model(folder / run.model.name, compile=False), known
    raise RecipeError(
        f"{run.folder} is not trained: first `python -m model.train {run.recipe.name}`"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m model.export fast\n"
        "  python -m model.export accurate --saved-model served/kmnist --triton served/triton\n",
    )
    parser.add_argument(
        "recipe", nargs="?", default="fast", help="name in the file of --recipes (%(default)s)"
    )
    parser.add_argument("--recipes", type=Path, default=RECIPES, help="file (%(default)s)")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of all runs (%(default)s)")
    parser.add_argument("--out", type=Path, help="the artefact's folder (model/artefact/RECIPE)")
    parser.add_argument(
        "--feedback",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="corrections that the run was trained on, as given to `model.train`",
    )
    parser.add_argument(
        "--saved-model",
        type=Path,
        help="write only the form for TensorFlow Serving, into this folder",
    )
    parser.add_argument(
        "--triton", type=Path, help="write only the form for Triton, into this repository"
    )
    return parser


def main() -> int:
    """Exports a network.

    Returns:
        Exit status: 0 on success, 1 on an error, 2 for a wrong recipe or feedback, 130 on
        Ctrl-C.
    """
    arguments = _parser().parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides the converter's build messages
    try:
        _export(arguments)
    except (RecipeError, FeedbackError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"error: {ADVICE} ({error})", file=sys.stderr)
        return 1
    except (dataset.DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to start over", file=sys.stderr)
        return 130
    return 0


def _export(arguments: argparse.Namespace) -> None:
    recipes = load_recipes(arguments.recipes)
    plan(recipes, arguments.recipe, 0, arguments.runs)  # a wrong name fails before any download
    for folder in filter(None, (arguments.saved_model, arguments.triton)):
        folder.mkdir(parents=True, exist_ok=True)  # a wrong path fails before the long work
    train, validation = dataset.load_split("train"), dataset.load_split("validation")
    feedback = tuple(load_feedback(path) for path in arguments.feedback)
    images = len(train.labels)
    run = plan(recipes, arguments.recipe, images, arguments.runs, feedback=feedback)
    out = arguments.out or SHIPPED / arguments.recipe
    trained, facts = load_run(run, out)
    unseen = unfamiliar(validation, train, run.recipe)
    served = prepare(trained, run, train, unseen)
    if arguments.saved_model or arguments.triton:
        _write_other_forms(served.model, arguments)
        return
    whole = convert(served.model, train, quantise=False)
    write(out / FLOAT, whole, served, facts, validation, unseen)
    artefact = write(out, convert(served.model, train), served, facts, validation, unseen)
    trained.save(out / run.model.name)
    (out / run.facts.name).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(
        f"{out}: {artefact.name}, {artefact.size_bytes:,} bytes, temperature "
        f"{served.temperature:.2f}, abstains below {artefact.abstain_below:.2%}, flags above "
        f"{artefact.outlier_above:.2%}"
    )


def _write_other_forms(model: "keras.Model", arguments: argparse.Namespace) -> None:
    from model.served_forms import write_saved_model, write_triton_repository

    if arguments.saved_model:
        write_saved_model(model, arguments.saved_model)
        print(f"{arguments.saved_model}: SavedModel for TensorFlow Serving")
    if arguments.triton:
        write_triton_repository(model, arguments.triton, "kmnist")
        print(f"{arguments.triton}: model kmnist for Triton")


if __name__ == "__main__":
    sys.exit(main())
