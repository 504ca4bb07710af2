"""Selects the served artefact from environment variables. Python 3.8 to 3.12."""

import importlib.util
import os
from pathlib import Path
from typing import Mapping, Optional
from urllib.parse import urlsplit
from urllib.request import url2pathname

from model.artefacts import FLOAT, SHIPPED, Artefact, ArtefactError, read_artefact
from model.remote import fetch_artefact

VARIANTS = ("fast", "accurate")
"""The names of the networks; the first is the default."""


def chosen_artefact(environ: Optional[Mapping[str, str]] = None) -> Artefact:
    """Reads the artefact that the environment selects.

    Args:
        environ: environment variables; default the process's own. `MODEL_URI` (a folder,
            `s3://bucket/prefix` or `gs://bucket/prefix`) has precedence over `MODEL_VARIANT`
            (one of `VARIANTS`).

    Raises:
        ArtefactError: a variable is invalid, or the artefact cannot be read.
    """
    environ = os.environ if environ is None else environ
    folder = chosen_folder(environ)
    return fetch_artefact(_uri(environ), environ) if folder is None else read_artefact(folder)


def chosen_folder(environ: Mapping[str, str]) -> Optional[Path]:
    """Returns the folder that `chosen_artefact` reads; None if it reads from a store.

    Raises:
        ArtefactError: a variable is invalid.
    """
    uri = _uri(environ)
    if not uri:
        return _faster_form(SHIPPED / _variant(environ))
    if "://" not in uri:
        return _local_folder(uri)
    return _file_uri_folder(uri) if uri.startswith("file://") else None


def _uri(environ: Mapping[str, str]) -> str:
    return environ.get("MODEL_URI", "").strip()


def _variant(environ: Mapping[str, str]) -> str:
    variant = environ.get("MODEL_VARIANT", "").strip() or VARIANTS[0]
    if variant not in VARIANTS:
        raise ArtefactError(
            f"MODEL_VARIANT is {variant!r}: expected {' or '.join(VARIANTS)}; "
            "set MODEL_URI for a model of your own"
        )
    return variant


def _faster_form(folder: Path) -> Path:
    """Returns the folder of the int8 artefact, or of the float one if float is faster here.

    On tflite-runtime 2.14, the last version for Python 3.8, int8 takes 1.5 times as long as
    float. On LiteRT, int8 takes a third or a quarter of the time (docs/model.md, "How fast").
    """
    return folder / FLOAT if importlib.util.find_spec("tflite_runtime") else folder


def _local_folder(uri: str) -> Path:
    try:
        return Path(uri).expanduser()
    except RuntimeError as error:
        raise ArtefactError(f"MODEL_URI is {uri!r}: {error}") from error


def _file_uri_folder(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise ArtefactError(f"MODEL_URI is {uri!r}: expected file:///path, with three slashes")
    return Path(url2pathname(parts.path))
