"""Reads credentials from environment variables or a mounted secret. Python 3.8 to 3.12."""

from pathlib import Path
from typing import Mapping

from model.artefacts import ArtefactError

FOLDER_VARIABLE = "MODEL_CREDENTIALS_DIR"
_LIMIT = 64 * 1024
_YES = ("1", "on", "t", "true", "y", "yes")


class Credentials:
    """Credentials by variable name, from the files of a mounted secret or from variables.

    A file with the name of a variable takes precedence over the variable. The values are secret, so
    no message may contain a value.

    Args:
        environ: environment variables; `MODEL_CREDENTIALS_DIR` names the folder where a
            Kubernetes secret is mounted.

    Raises:
        ArtefactError: the folder does not exist or cannot be read.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        named = environ.get(FOLDER_VARIABLE, "")
        self._folder = Path(named) if named else None
        if self._folder and not _is_folder(self._folder):
            raise ArtefactError(
                f"{FOLDER_VARIABLE} is {named!r}, which is not a readable folder: "
                "mount the secret there"
            )

    def get(self, *names: str) -> str:
        """Returns the value of the first of these variables that has a value, or "".

        Raises:
            ArtefactError: the variable's file cannot be read.
        """
        return next(filter(None, map(self._value, names)), "")

    def is_on(self, name: str) -> bool:
        """Returns whether a variable is true, in any spelling that rclone accepts."""
        return self.get(name).lower() in _YES

    def check_type(self, variable: str, expected: str) -> None:
        """Checks the store type of an rclone secret, if the secret has a type.

        Args:
            variable: variable with the type.
            expected: rclone's name of the type.

        Raises:
            ArtefactError: the secret is for another type of store.
        """
        if self.get(variable) not in ("", expected):
            raise ArtefactError(f"{variable} must be {expected!r} for a MODEL_URI of this kind")

    def _value(self, name: str) -> str:
        file = self._folder / name if self._folder else None
        if file is None:
            return self._environ.get(name, "").strip()
        try:
            if not file.exists():
                return self._environ.get(name, "").strip()
            with file.open(encoding="utf-8") as opened:
                return opened.read(_LIMIT).strip()
        except (OSError, ValueError) as error:
            raise ArtefactError(
                f"cannot read {name} in {FOLDER_VARIABLE} ({type(error).__name__}): "
                "mount the secret so that this process can read it"
            ) from None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a folder above it is not readable
        return False
