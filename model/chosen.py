"""Which artefact is served, as the environment says. Python 3.8 to 3.12."""

import importlib.util
import os
from pathlib import Path
from typing import Mapping, Optional
from urllib.parse import urlsplit
from urllib.request import url2pathname

from model.artefacts import FLOAT, SHIPPED, Artefact, ArtefactError, read_artefact
from model.remote import fetch_artefact

VARIANTS = ("fast", "accurate")
"""The networks to choose from, the default first."""


def chosen_artefact(environ: Optional[Mapping[str, str]] = None) -> Artefact:
    """Read the artefact that is to be served.

    Args:
        environ: The environment, with `MODEL_URI` (a folder, `s3://bucket/prefix` or
            `gs://bucket/prefix`), else `MODEL_VARIANT` (one of `VARIANTS`); default the
            process's own.

    Raises:
        ArtefactError: The choice is none, or what was chosen can't be had.
    """
    environ = os.environ if environ is None else environ
    folder = chosen_folder(environ)
    return fetch_artefact(_uri(environ), environ) if folder is None else read_artefact(folder)


def chosen_folder(environ: Mapping[str, str]) -> Optional[Path]:
    """The folder on this machine that `chosen_artefact` reads; None if it reads a store.

    Raises:
        ArtefactError: The choice is none.
    """
    uri = _uri(environ)
    if not uri:
        return _quicker_form(SHIPPED / _variant(environ))
    if "://" not in uri:
        return _home(uri)
    return _folder(uri) if uri.startswith("file://") else None


def _uri(environ: Mapping[str, str]) -> str:
    return environ.get("MODEL_URI", "").strip()


def _variant(environ: Mapping[str, str]) -> str:
    variant = environ.get("MODEL_VARIANT", "").strip() or VARIANTS[0]
    if variant not in VARIANTS:
        raise ArtefactError(
            f"MODEL_VARIANT is {variant!r}: expected {' or '.join(VARIANTS)}; "
            "MODEL_URI names a model of your own"
        )
    return variant


def _quicker_form(folder: Path) -> Path:
    """The int8 artefact, or the float one where that is quicker.

    On tflite-runtime 2.14, the last one for Python 3.8, int8 takes half as long again as float;
    on LiteRT it takes a third or a quarter (docs/model.md, "How fast").
    """
    return folder / FLOAT if importlib.util.find_spec("tflite_runtime") else folder


def _home(uri: str) -> Path:
    try:
        return Path(uri).expanduser()
    except RuntimeError as error:
        raise ArtefactError(f"MODEL_URI is {uri!r}: {error}") from error


def _folder(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise ArtefactError(f"MODEL_URI is {uri!r}: expected file:///path, with three slashes")
    return Path(url2pathname(parts.path))
