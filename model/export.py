"""Turns a trained network into the artefact that is served: `python -m model.export`."""

import argparse
import importlib.metadata
import json
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model import dataset
from model.config import SHIPPED, Network
from model.dataset import Split
from model.exact import make_exact
from model.loader import NETWORK
from model.train import ADVICE, RUNS

if TYPE_CHECKING:
    import keras

REPRESENTATIVE = 500
"""Training images that the int8 scales are measured on."""


def fit_temperature(logits: Any, labels: Any) -> float:
    """Find the divisor of the logits under which the labels are likeliest.

    Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2.

    Args:
        logits: float (n, 10).
        labels: (n,) indices.

    Returns:
        The temperature, by search in steps of 1 %.
    """

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        likelihood = scaled[np.arange(len(labels)), labels] - np.log(np.exp(scaled).sum(axis=1))
        return float(-likelihood.mean())

    return min((1.01**step for step in range(-150, 151)), key=loss)


def convert(trained: "keras.Model", network: Network, temperature: float, train: Split) -> bytes:
    """Quantise a network to int8, all but its last layer and the softmax.

    Those stay in float32: int8 would give probabilities in steps of 1/256. What is int8
    is made exact (`model.exact`).

    Args:
        trained: A model of `model.networks.build(network)`.
        network: Its shape.
        temperature: Logits are divided by it before the softmax.
        train: Where the scales of int8 activations are measured.

    Returns:
        A TFLite model from float32 (n, 28, 28, 1), ink from 0 to 255, to probabilities
        float32 (n, 10).
    """
    import tensorflow as tf

    from model.networks import serving

    def representative() -> Iterator[list[Any]]:
        for image in train.images[:REPRESENTATIVE]:
            yield [image[None, ..., None].astype(np.float32)]

    with tempfile.TemporaryDirectory() as folder:
        serving(trained, network, temperature).export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        names = [name for name in _layer_names(converter.convert()) if "logits" in name]
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=representative,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                denylisted_ops=["SOFTMAX"], denylisted_nodes=names
            ),
        )
        content: bytes = debugger.get_nondebug_quantized_model()
    return make_exact(content)


def _layer_names(content: bytes) -> list[str]:
    """Names of all tensors of a TFLite model; an operation goes by its output's name."""
    from tensorflow import lite

    return [
        tensor["name"] for tensor in lite.Interpreter(model_content=content).get_tensor_details()
    ]


def main() -> int:
    """Calibrate on the validation split, convert, and write the artefact beside its facts."""
    parser = argparse.ArgumentParser(prog="python -m model.export", description=__doc__)
    parser.add_argument("--run", type=Path, default=RUNS / "kmnist.keras", help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=NETWORK, help="(%(default)s)")
    arguments = parser.parse_args()
    try:
        import keras
    except ModuleNotFoundError as error:
        print(f"{ADVICE} ({error})", file=sys.stderr)
        return 1
    try:
        train, validation = dataset.load_split("train"), dataset.load_split("validation")
    except dataset.DatasetError as error:
        print(error, file=sys.stderr)
        return 1
    trained = keras.saving.load_model(arguments.run, compile=False)
    pixels = validation.images[..., None].astype(np.float32) / 255
    temperature = fit_temperature(trained.predict(pixels, 512, verbose=0), validation.labels)
    content = convert(trained, SHIPPED.network, temperature, train)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(content)
    facts = {
        "run": json.loads(arguments.run.with_suffix(".json").read_text()),
        "temperature": round(temperature, 4),
        "made_with": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("tensorflow-cpu", "keras")},
        },
        "data_md5": dataset.MD5,
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{arguments.out}: {len(content):,} bytes, temperature {temperature:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
