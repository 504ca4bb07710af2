"""The folder that a replica runs in: what s2i would put into the image, and nothing beside it."""

from __future__ import annotations

import contextlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The package is installed, in the image as here; its source does not lie beside the class.
_BUILT = frozenset(("LICENSE", "NOTICE", "pyproject.toml", "seldon_kafka"))


def staged(folder: Path) -> Path:
    """Makes the folder, of links into the repository to all that `.s2iignore` lets through.

    Args:
        folder: its path; it may be there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _let_through():
        with contextlib.suppress(FileExistsError):
            (folder / name).symlink_to(ROOT / name)
    return folder


def _let_through() -> list[str]:
    lines = (ROOT / ".s2iignore").read_text("utf-8").splitlines()
    names = [line.removeprefix("!") for line in lines if line.startswith("!")]
    return [name for name in names if name not in _BUILT]
