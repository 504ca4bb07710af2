"""Model artefacts: a folder with a model file and its manifest.

Runs on Python 3.8 to 3.12.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from model.drift_reference import is_reference

SHIPPED = Path(__file__).resolve().parent / "artefact"
"""The folder with one artefact for each variant."""

FLOAT = "float"
"""Subfolder of a shipped network's folder, with the same network in float32 instead of int8."""

MANIFEST = "manifest.json"
LIMIT = 64 * 2**20
"""Maximum size of a model file in bytes."""

_MANIFEST_LIMIT = 2**20

ReadFile = Callable[[str, int], bytes]
"""Reads a file, given its name and a limit in bytes; returns at most limit + 1 bytes."""


class ArtefactError(Exception):
    """A model cannot be served; the message is one line with the reason and the remedy.

    Attributes:
        retriable: whether a later attempt may succeed.
    """

    retriable = False


class StoreUnavailable(ArtefactError):
    """The store of a model cannot be reached now, or reports a temporary error."""

    retriable = True


@dataclass(frozen=True)
class Artefact:
    """A model file whose checksum matches its manifest.

    Attributes:
        content: the model file.
        name: the model's name in answers. `write_artefact` composes it of `kmnist-`, the
            variant and the first eight hex digits of the checksum.
        variant: the project's name of the model, such as `fast`.
        file: the model file's name.
        sha256: SHA-256 of the model file, in hex.
        size_bytes: size of the model file.
        abstain_below: confidence below which an answer is unreliable.
        made_by: settings, versions and data that made the model.
        outlier_above: outlier score above which a picture is flagged.
        reference: reference shares of inputs and answers for drift detection, see
            `model.drift_reference`; None if they are unknown.
    """

    content: bytes = field(repr=False)
    name: str
    variant: str
    file: str
    sha256: str
    size_bytes: int
    abstain_below: float
    made_by: Mapping[str, Any] = field(repr=False)
    outlier_above: float = 1.0
    reference: Optional[Mapping[str, Any]] = field(default=None, repr=False)


def read_artefact(folder: Path) -> Artefact:
    """Reads an artefact from a folder.

    Args:
        folder: folder with the manifest and the model file that it names.

    Raises:
        ArtefactError: a file is missing or too large, the manifest is invalid, or the model
            file does not match the manifest.
    """

    def read(name: str, limit: int) -> bytes:
        try:
            with (folder / name).open("rb") as file:
                return file.read(limit + 1)
        except OSError as error:
            raise ArtefactError(
                f"cannot read {folder / name} ({error.strerror}): "
                f"a model is a folder with a model file and its {MANIFEST}"
            ) from error

    return assemble(str(folder), read)


def write_artefact(
    folder: Path,
    file: str,
    content: bytes,
    *,
    variant: str,
    abstain_below: float,
    made_by: Mapping[str, Any],
    outlier_above: float = 1.0,
    reference: Optional[Mapping[str, Any]] = None,
) -> Artefact:
    """Writes a model file and its manifest into a folder, and creates the folder if needed.

    Args:
        folder: the artefact's folder.
        file: the model file's name.
        content: content of the model file.
        variant: see `Artefact`.
        abstain_below: see `Artefact`.
        made_by: see `Artefact`.
        outlier_above: see `Artefact`.
        reference: see `Artefact`.

    Returns:
        The written artefact.
    """
    found = hashlib.sha256(content).hexdigest()
    artefact = Artefact(
        content=content,
        name=f"kmnist-{variant}-{found[:8]}",
        variant=variant,
        file=file,
        sha256=found,
        size_bytes=len(content),
        abstain_below=abstain_below,
        made_by=dict(made_by),
        outlier_above=outlier_above,
        reference=reference,
    )
    manifest = {
        each: getattr(artefact, each)
        for each in (*_FIELDS, *_OPTIONAL)
        if getattr(artefact, each) is not None
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return artefact


def assemble(where: str, read: ReadFile) -> Artefact:
    """Reads an artefact, and checks the model file against the manifest.

    Args:
        where: name of the folder, for messages.
        read: reads a file of the folder.

    Raises:
        ArtefactError: the manifest is invalid, or the model file does not match the manifest.
    """
    manifest = _parsed(f"{where}/{MANIFEST}", read(MANIFEST, _MANIFEST_LIMIT))
    content = read(manifest["file"], manifest["size_bytes"])
    _verify(f"{where}/{manifest['file']}", content, manifest)
    return Artefact(content=content, **manifest)


def _verify(path: str, content: bytes, manifest: Mapping[str, Any]) -> None:
    advice = "copy both files again from where the model was made"
    declared = manifest["size_bytes"]
    if len(content) > declared:
        raise ArtefactError(
            f"{path} has more than the {declared:,} bytes of its manifest: {advice}"
        )
    if len(content) < declared:
        raise ArtefactError(
            f"{path} has {len(content):,} bytes, its manifest says {declared:,}: {advice}"
        )
    found = hashlib.sha256(content).hexdigest()
    if found != manifest["sha256"]:
        raise ArtefactError(
            f"{path} has the SHA-256 {found}, its manifest says {manifest['sha256']}: {advice}"
        )


def _parsed(path: str, text: bytes) -> Dict[str, Any]:
    """Returns the fields of a manifest that serving needs, after a check of their values.

    Raises:
        ArtefactError: the manifest is too large or not JSON, or a field is missing or wrong.
    """
    if len(text) > _MANIFEST_LIMIT:
        raise ArtefactError(f"{path} has more than {_MANIFEST_LIMIT:,} bytes: not a manifest")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path} is not JSON ({error}): write the manifest again") from error
    if not isinstance(found, dict):
        raise ArtefactError(f"{path} is not a JSON object: write the manifest again")
    for name, (is_good, wanted) in {**_FIELDS, **_OPTIONAL}.items():
        if name not in found and name in _FIELDS:
            raise ArtefactError(f"{path} has no {name!r}: it must be {wanted}")
        if name in found and not is_good(found[name]):
            raise ArtefactError(f"{path}: {name!r} must be {wanted}")
    return {name: found[name] for name in (*_FIELDS, *_OPTIONAL) if name in found}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()


def _is_file_name(value: Any) -> bool:
    # A manifest from another source must not name a file outside its own folder.
    return _is_text(value) and PurePosixPath(value).name == value and "\\" not in value


def _is_sum(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value <= LIMIT


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and is_reference(value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


_FIELDS: Mapping[str, Tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "the model's name in answers"),
    "variant": (_is_text, "the variant's name"),
    "file": (_is_file_name, "the name of the model file in the same folder"),
    "sha256": (_is_sum, "64 hex digits in lower case"),
    "size_bytes": (_is_size, f"a whole number, 1 to {LIMIT} (64 MiB)"),
    "abstain_below": (_is_share, "a number from 0 to 1"),
    "made_by": (_is_object, "an object"),
}

_OPTIONAL: Mapping[str, Tuple[Callable[[Any], bool], str]] = {
    "outlier_above": (_is_share, "a number from 0 to 1"),
    "reference": (_is_reference, "the shares of model/drift_reference.py"),
}
