"""Variables with credentials, from the environment or a mounted secret. Python 3.8 to 3.12."""

from pathlib import Path
from typing import Mapping

from model.artefacts import ArtefactError

FOLDER_VARIABLE = "MODEL_CREDENTIALS_DIR"
_LIMIT = 64 * 1024
_YES = ("1", "on", "t", "true", "y", "yes")


class Credentials:
    """Variables by name; a file of that name in the secret's folder goes before the environment.

    Their values are secrets: no message may show one.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Take the variables.

        Args:
            environ: The environment; `MODEL_CREDENTIALS_DIR` in it names the folder that a
                Kubernetes secret is mounted on.

        Raises:
            ArtefactError: There is no such folder.
        """
        self._environ = environ
        named = environ.get(FOLDER_VARIABLE, "")
        self._folder = Path(named) if named else None
        if self._folder and not _is_folder(self._folder):
            raise ArtefactError(
                f"{FOLDER_VARIABLE} is {named!r}, which is no folder that can be read: "
                "mount the secret there"
            )

    def get(self, *names: str) -> str:
        """The value of the first variable that has one, else an empty text.

        Raises:
            ArtefactError: Its file can't be read.
        """
        return next(filter(None, map(self._value, names)), "")

    def is_on(self, name: str) -> bool:
        """Whether a variable says yes, in one of the ways that rclone takes."""
        return self.get(name).lower() in _YES

    def check_type(self, variable: str, expected: str) -> None:
        """Check which kind of store an rclone secret is for.

        Raises:
            ArtefactError: It is for another kind.
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
                "mount the secret readable"
            ) from None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # one above it may not be looked into
        return False
