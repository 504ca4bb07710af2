"""Measures a model's speed and memory in its own process; Python 3.8 to 3.12.

`python -m model.speed model/artefact/fast` prints JSON.
"""

import argparse
import importlib
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np
from numpy.typing import NDArray

from model.artefacts import ArtefactError, read_artefact
from model.loader import Baseline, Classifier

BATCHES = (1, 16, 256, 1024)
_ROUNDS = 5

Predict = Callable[[NDArray[np.uint8]], Any]


def measure(predict: Predict, batch: int, seconds: float) -> Dict[str, float]:
    """Measures the rate of repeated predictions.

    Args:
        predict: predicts a batch, uint8 (batch, 28, 28).
        batch: number of images in each call.
        seconds: duration of a round; there are five.

    Returns:
        `minimum`, `median` and `maximum` of the rounds' images a second.
    """
    images = np.random.default_rng(1).integers(0, 256, (batch, 28, 28)).astype(np.uint8)
    predict(images)
    rates = []
    for _ in range(_ROUNDS):
        started, calls = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            predict(images)
            calls += 1
        rates.append(calls * batch / (time.perf_counter() - started))
    return {
        "minimum": round(min(rates)),
        "median": round(statistics.median(rates)),
        "maximum": round(max(rates)),
    }


def _load(path: Path, threads: int) -> Predict:
    if path.suffix == ".keras":
        return _keras(path, threads)
    artefact = read_artefact(path)
    if artefact.file.endswith(".skops"):
        return Baseline(artefact.content).answers
    return Classifier(artefact.content, threads).answers


def _keras(path: Path, threads: int) -> Predict:
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = keras.saving.load_model(path, compile=False)
    call = tf.function(lambda pixels: tf.nn.softmax(model(pixels, training=False)))
    return lambda images: call(images[..., None].astype(np.float32) / 255).numpy()


def runtime(path: Path) -> str:
    """Returns the name and version of the package that runs a model here, or "unknown"."""
    packages = {".keras": ["tensorflow"], ".skops": ["sklearn"]}
    kind = path.suffix or Path(read_artefact(path).file).suffix
    for package in packages.get(kind, ["tflite_runtime", "ai_edge_litert", "tensorflow"]):
        try:
            module = importlib.import_module(package)
        except ImportError:
            continue
        version = getattr(module, "__version__", None) or _version(package)
        return f"{package} {version}"
    return "unknown"


def _version(package: str) -> str:
    from importlib import metadata

    return metadata.version(package.replace("_", "-"))


def _peak_memory_mb() -> Optional[int]:
    """Returns the peak of this process's resident memory in MiB; None on other systems than Linux.

    `resource.getrusage` is not used, because a process inherits its peak from the parent.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(round(int(line.split()[1]) / 1024) for line in lines if line.startswith("VmHWM:"))


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def main() -> int:
    """Measures one model and prints the figures.

    Returns:
        Exit status: 0 on success, 1 on an error, 130 on Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="python -m model.speed", description=__doc__)
    parser.add_argument("model", type=Path, help="folder of an artefact, or a .keras file")
    parser.add_argument("--threads", type=_count, default=2, help="cores to use (%(default)s)")
    parser.add_argument("--batches", type=_count, nargs="+", default=BATCHES, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="per round (%(default)s)")
    arguments = parser.parse_args()
    try:
        print(json.dumps(_measure_all(arguments)))
    except (ArtefactError, ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _measure_all(arguments: argparse.Namespace) -> Dict[str, Any]:
    started = time.perf_counter()
    predict = _load(arguments.model, arguments.threads)
    predict(np.zeros((1, 28, 28), np.uint8))
    ready = time.perf_counter() - started
    rates: List[Dict[str, Any]] = [
        {"batch": batch, **measure(predict, batch, arguments.seconds)}
        for batch in arguments.batches
    ]
    return {
        "runtime": runtime(arguments.model),
        "python": platform.python_version(),
        "threads": arguments.threads,
        "first_answer_s": round(ready, 2),
        "peak_memory_mb": _peak_memory_mb(),
        "images_per_second": rates,
    }


if __name__ == "__main__":
    sys.exit(main())
