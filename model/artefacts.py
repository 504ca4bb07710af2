"""The form in which a model is served: a model file and its manifest, in one folder.

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
"""Folder, in a shipped network's, with the same network in float32 in place of int8."""

MANIFEST = "manifest.json"
LIMIT = 64 * 2**20
"""Most bytes of a model file."""

_MANIFEST_LIMIT = 2**20

Read = Callable[[str, int], bytes]
"""Gives the file of a name, or where it is longer than a number of bytes, that and one more."""


class ArtefactError(Exception):
    """A model can't be served; the message says in one line why, and what to do.

    Attributes:
        retriable: It may pass by itself.
    """

    retriable = False


class StoreAway(ArtefactError):
    """The place that a model is fetched from can't be reached now, or is in trouble."""

    retriable = True


@dataclass(frozen=True)
class Artefact:
    """A model file whose sum is that of its manifest.

    Attributes:
        content: The model file.
        name: What answers call the model by: `kmnist-`, the variant and the first eight hex
            digits of the sum.
        variant: Which of the project's models it is.
        file: The model file's name.
        sha256: Its SHA-256, in hex.
        size_bytes: Its size.
        abstain_below: A confidence below which an answer is not to be relied on.
        made_by: How it was made: settings, versions, data.
        outlier_above: An outlier score above which a picture is flagged.
        reference: What inputs and answers look like as long as nothing drifts, see
            `model.drift_reference`; None if that is not known.
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
    """Read an artefact from a folder.

    Args:
        folder: It has the manifest, and the model file that this names.

    Raises:
        ArtefactError: One of them is missing, too large, or not what the manifest says.
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
    """Write a model file and its manifest into a folder, which is made if need be.

    Args:
        folder: Where.
        file: The model file's name.
        content: The model file.
        variant: See `Artefact`.
        abstain_below: See `Artefact`.
        made_by: See `Artefact`.
        outlier_above: See `Artefact`.
        reference: See `Artefact`.

    Returns:
        What was written.
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


def assemble(where: str, read: Read) -> Artefact:
    """Read an artefact and hold it against its manifest.

    Args:
        where: The folder's name, for messages.
        read: Gives the files in it.

    Raises:
        ArtefactError: They don't fit.
    """
    manifest = _parsed(f"{where}/{MANIFEST}", read(MANIFEST, _MANIFEST_LIMIT))
    content = read(manifest["file"], manifest["size_bytes"])
    _verify(f"{where}/{manifest['file']}", content, manifest)
    return Artefact(content=content, **manifest)


def _verify(path: str, content: bytes, manifest: Mapping[str, Any]) -> None:
    advice = "copy both files again from where the model was made"
    said = manifest["size_bytes"]
    if len(content) > said:
        raise ArtefactError(f"{path} has more than the {said:,} bytes of its manifest: {advice}")
    if len(content) < said:
        raise ArtefactError(
            f"{path} has {len(content):,} bytes, its manifest says {said:,}: {advice}"
        )
    found = hashlib.sha256(content).hexdigest()
    if found != manifest["sha256"]:
        raise ArtefactError(
            f"{path} has the SHA-256 {found}, its manifest says {manifest['sha256']}: {advice}"
        )


def _parsed(path: str, text: bytes) -> Dict[str, Any]:
    """The fields of a manifest that serving needs, checked; others are left out."""
    if len(text) > _MANIFEST_LIMIT:
        raise ArtefactError(f"{path} has more than {_MANIFEST_LIMIT:,} bytes: it is no manifest")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path} is no JSON ({error}): write the manifest again") from error
    if not isinstance(found, dict):
        raise ArtefactError(f"{path} holds no JSON object: write the manifest again")
    for name, (is_good, wanted) in {**_FIELDS, **_OPTIONAL}.items():
        if name not in found and name in _FIELDS:
            raise ArtefactError(f"{path} has no {name!r}: it must be {wanted}")
        if name in found and not is_good(found[name]):
            raise ArtefactError(f"{path}: {name!r} must be {wanted}")
    return {name: found[name] for name in (*_FIELDS, *_OPTIONAL) if name in found}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()


def _is_file_name(value: Any) -> bool:
    # What comes from elsewhere must not name a file outside of its own folder.
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
    "name": (_is_text, "what answers call the model by"),
    "variant": (_is_text, "the variant's name"),
    "file": (_is_file_name, "the name of the model file beside it"),
    "sha256": (_is_sum, "64 hex digits in lower case"),
    "size_bytes": (_is_size, f"a whole number, 1 to {LIMIT} (64 MiB)"),
    "abstain_below": (_is_share, "a number from 0 to 1"),
    "made_by": (_is_object, "an object"),
}

_OPTIONAL: Mapping[str, Tuple[Callable[[Any], bool], str]] = {
    "outlier_above": (_is_share, "a number from 0 to 1"),
    "reference": (_is_reference, "the shares of model/drift_reference.py"),
}
