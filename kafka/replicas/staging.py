"""The folder that a replica runs in: what s2i would put into the image, and nothing beside it."""

from __future__ import annotations

import contextlib
import hashlib
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
    wanted = {name: ROOT / name for name in _let_through()}
    for link in folder.iterdir():
        if link.is_symlink() and link.name not in wanted:
            link.unlink()
    for name, target in wanted.items():
        with contextlib.suppress(FileExistsError):
            (folder / name).symlink_to(target)
    return folder


def staging_folder(state: Path) -> Path:
    """The folder of this checkout, in the folder for state, which all checkouts share."""
    return state / f"app-{hashlib.sha256(str(ROOT).encode('utf-8')).hexdigest()[:12]}"


def _let_through() -> list[str]:
    lines = (ROOT / ".s2iignore").read_text("utf-8").splitlines()
    names = [line.removeprefix("!") for line in lines if line.startswith("!")]
    return [name for name in names if name not in _BUILT]
