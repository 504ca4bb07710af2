"""Measures the shipped models on the test split, and writes the figures of docs/model.md.

The test split chooses nothing: settings, calibration and thresholds come from the validation
split.
"""

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from sklearn.metrics import roc_auc_score

from model import dataset
from model.artefacts import FLOAT, SHIPPED, Artefact, ArtefactError, read_artefact
from model.dataset import Split
from model.loader import Answers, Baseline, Classifier
from model.outliers import KINDS, draw, evaluation_sources
from model.pages import write_mistakes, write_page
from model.quality import quality
from model.robustness import DISTORTIONS, distorted

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MODELS = ("fast", "accurate", "baseline")
_OUTLIERS = 2000
_ENVIRONMENTS = {
    "this": Path(sys.executable),
    "3.8": ROOT / ".venv-3.8" / "bin" / "python",
    "train": ROOT / ".venv-train" / "bin" / "python",
}


def load(folder: Path) -> tuple[Artefact, "Classifier | Baseline"]:
    """Loads the artefact of a network, to run on two cores, or of the baseline.

    Raises:
        ArtefactError: the artefact is missing or broken.
    """
    artefact = read_artefact(folder)
    if artefact.file.endswith(".skops"):
        return artefact, Baseline(artefact.content)
    return artefact, Classifier(artefact.content, threads=2)


def outliers(
    classifier: "Classifier | Baseline", artefact: Artefact, real: Answers, split: Split
) -> dict[str, Any] | None:
    """Measures how well the detector separates each kind of outlier from real images.

    Args:
        classifier: the model.
        artefact: artefact of the model.
        real: the model's answers to the split.
        split: real images; outliers of the kind `inverted` are made from them.

    Returns:
        For each of `model.outliers.KINDS` the area under the ROC curve of the scores
        (`auroc`), and the share above the artefact's threshold (`caught`); None if the
        model has no outlier scores.
    """
    if real.outlier is None:
        return None
    sources = evaluation_sources(split.images)
    found = {}
    for kind in KINDS:
        scores = classifier.answers(draw(kind, _OUTLIERS, sources)).outlier
        assert scores is not None
        both = np.concatenate([real.outlier, scores])
        is_outlier = np.repeat([0, 1], [len(real.outlier), len(scores)])
        found[kind] = {
            "auroc": float(roc_auc_score(is_outlier, both)),
            "caught": float(np.mean(scores > artefact.outlier_above)),
        }
    return found


def robustness(classifier: "Classifier | Baseline", split: Split) -> dict[str, Any]:
    """Returns the accuracy on distorted images, by name of the distortion and by strength."""
    found = {}
    for name, distortion in DISTORTIONS.items():
        answers = (
            (strength, classifier.probabilities(images).argmax(axis=1))
            for strength, images in distorted(distortion, split.images)
        )
        found[name] = {
            f"{strength:g}": float(np.mean(labels == split.labels)) for strength, labels in answers
        }
    return found


def speeds(folder: Path, screen: Console) -> Iterator[dict[str, Any]]:
    """Measures a model's forms on the installed runtimes, each in its own process.

    Args:
        folder: folder of the artefact.
        screen: console for the names of missing runtimes.

    Yields:
        The output of `python -m model.speed`, with the `form` and the `date`.

    Raises:
        subprocess.CalledProcessError: a measurement failed.
    """
    forms = {"int8": folder, "float": folder / FLOAT, "Keras": folder / "model.keras"}
    if (folder / "model.skops").exists():
        yield {"form": "scikit-learn", **_speed("this", folder, 1)}
        return
    for form, path in forms.items():
        for environment in ("train",) if form == "Keras" else ("this", "3.8"):
            if not _ENVIRONMENTS[environment].exists():
                python = _ENVIRONMENTS[environment]
                screen.print(f"{form}: no {python}; `make environments` installs it")
            elif path.exists():
                for threads in (1, 2):
                    yield {"form": form, **_speed(environment, path, threads)}


def _speed(environment: str, path: Path, threads: int) -> dict[str, Any]:
    python = str(_ENVIRONMENTS[environment])
    command = [python, "-m", "model.speed", str(path), "--threads", str(threads)]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {"date": date.today().isoformat(), **json.loads(ran.stdout)}


def evaluate(name: str, split: Split) -> tuple[dict[str, Any], Answers]:
    """Measures all figures of one model except its speed.

    Args:
        name: name of a shipped artefact's folder.
        split: images to classify.

    Returns:
        The figures by name, and the model's answers to the split.
    """
    artefact, classifier = load(SHIPPED / name)
    answers = classifier.answers(split.images)
    found: dict[str, Any] = {
        "name": artefact.name,
        "size_bytes": artefact.size_bytes,
        "made_by": artefact.made_by,
        "outlier_above": artefact.outlier_above,
        **quality(answers, split.labels, artefact),
        "outliers": outliers(classifier, artefact, answers, split),
        "robustness": robustness(classifier, split),
    }
    if (SHIPPED / name / FLOAT).is_dir():
        other, unquantised = load(SHIPPED / name / FLOAT)
        found["float"] = {
            "name": other.name,
            "size_bytes": other.size_bytes,
            **quality(unquantised.answers(split.images), split.labels, other),
        }
    return found, answers


def _machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(named)} cores of {named[0]}" if named else platform.processor()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m model.evaluate                      everything, in ten minutes\n"
        "  python -m model.evaluate fast --no-speed      one model; keeps the speeds of the file\n"
        "  python -m model.evaluate --split validation --out /tmp/page    to choose settings\n"
        "  python -m model.evaluate --report             only the page, from docs/model.json\n",
    )
    parser.add_argument(
        "models", nargs="*", default=[], help=f"models ({', '.join(MODELS)})", metavar="MODEL"
    )
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--no-speed", action="store_true", help="do not measure the speed")
    parser.add_argument("--report", action="store_true", help="write the page and measure nothing")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the page (%(default)s)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures the models and writes the page.

    Returns:
        Exit status: 0 on success, 1 on an error, 2 for wrong arguments, 130 on Ctrl-C.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.models) - set(MODELS):
        parser.error(f"no model is named {', '.join(sorted(unknown))}: expected {MODELS}")
    screen = Console(stderr=True)
    try:
        if not options.report:
            _measure(options, screen)
        print(write_page(options.out))
    except (ArtefactError, dataset.DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [str(error)]
        print(f"error: {error.cmd[0]} -m model.speed: {lines[-1]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; model.json has the figures of the finished models", file=sys.stderr)
        return 130
    return 0


def _measure(options: argparse.Namespace, screen: Console) -> None:
    """Measures the models, and writes the figures after each one.

    Raises:
        DatasetError: the file has another split's figures of models that are not measured now.
    """
    results = options.out / "model.json"
    known = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    names = options.models or MODELS
    if other := {known[name]["measured"]["split"] for name in set(known) - set(names)} - {
        options.split
    }:
        raise dataset.DatasetError(
            f"{results} has figures of the {other.pop()} split, and one page shows one split: "
            "measure all models, or give another folder with --out"
        )
    split = dataset.load_split(options.split)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in track(names, "measuring", console=screen):
        found, answers = evaluate(name, split)
        screen.print(f"{name}: {found['accuracy']:.2%}")
        if options.no_speed:
            before = known.get(name, {})
            found["speed"] = before["speed"] if before.get("name") == found["name"] else []
        else:
            found["speed"] = list(speeds(SHIPPED / name, screen))
        found["measured"] = {
            "date": date.today().isoformat(),
            "split": options.split,
            "machine": _machine(),
            "python": platform.python_version(),
        }
        write_mistakes(options.out, name, answers.probabilities, split)
        known[name] = found
        results.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
