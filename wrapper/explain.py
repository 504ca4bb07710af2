"""`python -m wrapper.explain picture.png`: writes a heat map that explains an answer."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
from numpy.typing import NDArray
from seldon_core.flask_utils import SeldonMicroserviceException

from model.artefacts import Artefact, ArtefactError
from model.chosen import chosen_artefact, chosen_folder
from model.explanation import occlusion
from model.heat_map import png
from model.labels import HIRAGANA, ROMAJI
from model.loader import Classifier
from wrapper.explainer import class_of
from wrapper.judgement import Judgement, judge
from wrapper.loaded import parse_payload
from wrapper.other_json import payload_of
from wrapper.payload import PIXELS, BadPayload, to_rows

_EXAMPLES = """
examples:
  python -m wrapper.explain picture.png
  python -m wrapper.explain message.json --class ki --out why-not-ki.png
  python -m producer scan.jpg --stdout | python -m wrapper.explain -
  .venv-train/bin/python -m wrapper.explain picture.png --method gradients

A picture has 28 x 28 pixels, white ink on black; the producer converts any picture to this form. A
message is Seldon, Open Inference or TensorFlow Serving JSON; its first image is explained.
MODEL_VARIANT and MODEL_URI choose the model. Red areas support the class, blue areas oppose it.
"""


class ExplainError(Exception):
    """An error that the user can correct; the message says how."""


def main(arguments: Optional[List[str]] = None) -> int:
    """Explains the answer to one image.

    Returns:
        0 if the picture was written, 1 if not, 2 for wrong arguments or a wrong choice of model,
        130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        image = _image(options.picture)
        artefact = chosen_artefact()
        model = Classifier(artefact.content)
        judgement = judge(model.answers(image[None]), artefact)
        target = int(judgement.best[0]) if options.target is None else options.target
        if options.method == "gradients":
            heat = _by_gradients(artefact, image, target)
        else:
            heat = occlusion(model.probabilities, image, target)
        options.out.write_bytes(png(image, heat))
    except ArtefactError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1 if error.retriable else 2
    except SeldonMicroserviceException as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 1
    except (ExplainError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; no picture was written\n")
        return 130
    sys.stdout.write(f"{_describe(judgement)}\n{options.out}: heat map for {_name(target)}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wrapper.explain",
        description="Show which parts of an image support its label, and which oppose it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("picture", help="PNG, JPEG, 784 raw bytes, or a message; -: standard input")
    parser.add_argument(
        "--class",
        dest="target",
        type=_class,
        metavar="NAME",
        help="explain this character, in romaji or hiragana (default: the label)",
    )
    parser.add_argument(
        "--method",
        choices=("occlusion", "gradients"),
        default="occlusion",
        help="blank parts of the image, or integrate gradients with TensorFlow (%(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("explanation.png"), help="file to write (%(default)s)"
    )
    return parser


def _class(name: str) -> int:
    try:
        return class_of(name)
    except BadPayload as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _image(name: str) -> NDArray[np.uint8]:
    content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        image: NDArray[np.uint8] = to_rows(_payload(content))[0]
    except json.JSONDecodeError as error:
        raise ExplainError(f"{name} is not valid JSON: {error}") from error
    except RecursionError as error:
        raise ExplainError(f"{name} is nested too deeply to be read") from error
    return image


def _payload(content: bytes) -> Any:
    if content.lstrip()[:1] != b"{":
        return content
    try:
        # Other messages may follow the first: the producer writes one message per line.
        message: Any = json.JSONDecoder().raw_decode(content.decode("utf-8", "replace").lstrip())[0]
    except json.JSONDecodeError:
        if len(content) == PIXELS:  # a raw image whose first pixel has the value of "{"
            return content
        raise
    payload = payload_of(message)
    return parse_payload(message) if payload is None else payload


def _by_gradients(artefact: Artefact, image: NDArray[np.uint8], target: int) -> Any:
    folder = chosen_folder(os.environ)
    if folder is None:
        raise ExplainError(
            "gradients need the trained network: copy the model's folder from the store to this "
            "machine, and set MODEL_URI to the copy"
        )
    try:
        from model.gradients import integrated_gradients, load_network
    except ModuleNotFoundError as error:
        raise ExplainError(
            f"gradients need TensorFlow ({error}): `make train` installs it in .venv-train"
        ) from error
    try:
        network = load_network(folder)
    except FileNotFoundError as error:
        raise ExplainError(f"gradients need the trained network: there is no {error}") from error
    temperature = float(artefact.made_by.get("temperature", 1.0))
    return integrated_gradients(network, image, target, temperature)


def _describe(judgement: Judgement) -> str:
    text = f"{_name(int(judgement.best[0]))}, confidence {100 * judgement.confidence[0]:.2f} %"
    if judgement.abstain[0]:
        text += ", abstains"
    if judgement.outlier is not None and judgement.outlier_score is not None:
        verdict = "outlier" if judgement.outlier[0] else "no outlier"
        text += f", {verdict} (score {judgement.outlier_score[0]:.4f})"
    return text


def _name(index: int) -> str:
    return f"{HIRAGANA[index]} {ROMAJI[index]}"


if __name__ == "__main__":
    sys.exit(main())
