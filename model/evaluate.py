"""Measures the shipped artefact: `python -m model.evaluate`.

It reads the validation split unless told otherwise: the test split is for the one look
at the end, `--split test --write`, which enters the figures into the metrics file.
"""

import argparse
import importlib.metadata
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from model import dataset
from model.artefacts import ArtefactError, read_artefact
from model.dataset import Split
from model.labels import ROMAJI
from model.loader import FAST, Classifier, load_classifier

BATCH = 256
_BINS = 15
_ROUNDS = 200


def quality(classifier: Classifier, split: Split, abstain_below: float = 0.5) -> dict[str, Any]:
    """Measure how right a classifier is, and how well it knows.

    Args:
        classifier: The classifier.
        split: Images with their labels.
        abstain_below: The confidence below which an answer counts as an abstention.

    Returns:
        `accuracy`; `accuracy_by_class` (of those in the split); `calibration_error`
        (expected calibration error in 15 bins of equal width, Guo et al. 2017, section 3);
        `abstained` (share), and `accuracy_of_the_rest`.
    """
    answers = classifier.probabilities(split.images)
    right = answers.argmax(axis=1) == split.labels
    confidence = answers.max(axis=1)
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [abs(np.sum(right[bins == i] - confidence[bins == i])) for i in range(_BINS)]
    sure = confidence >= abstain_below
    return {
        "accuracy": float(right.mean()),
        "accuracy_by_class": {
            ROMAJI[i]: round(float(right[split.labels == i].mean()), 4)
            for i in np.unique(split.labels)
        },
        "calibration_error": round(float(np.sum(gaps)) / len(right), 4),
        "abstain_below": abstain_below,
        "abstained": round(float(1 - sure.mean()), 4),
        "accuracy_of_the_rest": round(float(right[sure].mean()), 4),
    }


def images_per_second(classifier: Classifier, images: Any) -> int:
    """Measure the speed of whole calls, as the median of 200.

    Args:
        classifier: The classifier.
        images: uint8 (256, 28, 28), one batch.
    """
    times = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        classifier.probabilities(images)
        times.append(time.perf_counter() - started)
    return round(len(images) / statistics.median(times))


def _speed(path: Path, split: Split) -> dict[str, Any]:
    batch = split.images[:BATCH]
    return {
        "batch": BATCH,
        "images_per_second": {
            f"{threads} thread(s)": images_per_second(load_classifier(path, threads), batch)
            for threads in (1, 2)
        },
        "interpreter": _interpreter(),
        "python": platform.python_version(),
        "machine": _processor(),
        "command": "python -m model.evaluate --split test --write",
    }


def _interpreter() -> str:
    for package in ("tflite-runtime", "ai-edge-litert", "tensorflow-cpu", "tensorflow"):
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(named)} cores, {named[0]}" if named else platform.processor()


def main() -> int:
    """Measure, print, and on demand write the figures beside the artefact."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=FAST, help="(%(default)s)")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--write", action="store_true", help="enter them into the metrics file")
    arguments = parser.parse_args()
    try:
        artefact = read_artefact(arguments.model)
        classifier = Classifier(artefact.content)
        split = dataset.load_split(arguments.split)
    except (ArtefactError, dataset.DatasetError) as error:
        print(error, file=sys.stderr)
        return 1
    figures = {
        "name": artefact.name,
        arguments.split: quality(classifier, split, artefact.abstain_below),
        "speed": _speed(arguments.model, split),
    }
    print(json.dumps(figures, indent=2))
    if arguments.write:
        facts = arguments.model / "figures.json"
        known = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {}
        facts.write_text(json.dumps({**known, **figures}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
