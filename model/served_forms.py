"""Writes the network for TensorFlow Serving and for NVIDIA Triton.

Both servers read a SavedModel, but Seldon Core 1.17.1 comes with old versions: TensorFlow Serving
2.1.0, and Triton 21.08 with TensorFlow 1.15. These versions refuse variables in the form of
TensorFlow 2.19, so weights are written as constants. TensorFlow 1.15.0, 2.1.0, 2.2.0 and 2.5.0
were seen to load the files and to give the same answers.
"""

import shutil
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

INPUT = "images"
OUTPUTS = ("probabilities", "outlier")
"""Names of a network's outputs; some networks have only the first."""

_VERSION = "1"
_LARGEST_BATCH = 256


def write_saved_model(serving: keras.Model, folder: Path) -> None:
    """Writes `<folder>/1`, as TensorFlow Serving reads it.

    The signature is `serving_default`. Its input `images` is float32 (n, 28, 28, 1), ink from 0
    to 255. Its outputs are `probabilities`, float32 (n, 10), and `outlier`, float32 (n, 1), if
    the network computes outlier scores. An earlier export is replaced.

    Args:
        serving: a network of `model.networks.serving`.
        folder: the model's folder, with a subfolder for each version.

    Raises:
        OSError: the files cannot be written.
    """
    _write(serving, folder / _VERSION)


def write_triton_repository(serving: keras.Model, folder: Path, name: str) -> None:
    """Writes `<folder>/<name>`, a model of a Triton repository.

    Inputs and outputs are those of `write_saved_model`. An earlier export is replaced.

    Args:
        serving: a network of `model.networks.serving`.
        folder: the repository, with a subfolder for each model.
        name: the model's name for clients.

    Raises:
        OSError: the files cannot be written.
    """
    _write(serving, folder / name / _VERSION / "model.savedmodel")
    (folder / name / "config.pbtxt").write_text(_triton_config(serving, name), encoding="utf-8")


def _write(serving: keras.Model, folder: Path) -> None:
    image = tf.TensorSpec(serving.inputs[0].shape, tf.float32, name=INPUT)
    outputs = _outputs(serving)
    # `serving.outputs` is sorted by name, so its order is not used.
    flat = keras.Model(serving.inputs, list(outputs.values()))
    traced = tf.function(lambda images: flat([images], training=False), input_signature=[image])
    frozen = convert_variables_to_constants_v2(traced.get_concrete_function())
    if folder.exists():
        shutil.rmtree(folder)
    builder = tf.compat.v1.saved_model.Builder(str(folder))
    with tf.compat.v1.Session(graph=frozen.graph) as session:
        signature = tf.compat.v1.saved_model.predict_signature_def(
            {INPUT: frozen.inputs[0]}, dict(zip(outputs, frozen.outputs, strict=True))
        )
        builder.add_meta_graph_and_variables(
            session,
            [tf.saved_model.SERVING],
            {tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature},
            # An old server refuses attributes that it does not know, even with default values.
            strip_default_attrs=True,
        )
    try:
        builder.save()
    except tf.errors.OpError as error:
        raise OSError(f"cannot write {folder}: {error.message}") from error


def _outputs(serving: keras.Model) -> dict[str, keras.KerasTensor]:
    """Returns a network's output tensors by name, in the order of `OUTPUTS`."""
    return {name: serving.output[name] for name in OUTPUTS if name in serving.output}


def _triton_config(serving: keras.Model, name: str) -> str:
    """Returns the model's `config.pbtxt`; Triton adds the batch to the dimensions itself."""
    return "\n".join(
        [
            f'name: "{name}"',
            'platform: "tensorflow_savedmodel"',
            f"max_batch_size: {_LARGEST_BATCH}",
            _tensor("input", INPUT, serving.inputs[0]),
            *(_tensor("output", each, tensor) for each, tensor in _outputs(serving).items()),
            # Triton batches the requests in its queue, and delays none to wait for more.
            "dynamic_batching { }",
            "",
        ]
    )


def _tensor(field: str, name: str, tensor: keras.KerasTensor) -> str:
    dimensions = ", ".join(map(str, tensor.shape[1:]))
    return f'{field} {{ name: "{name}" data_type: TYPE_FP32 dims: [{dimensions}] }}'
