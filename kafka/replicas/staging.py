"""Creates the folder that a replica runs in, with only the files that s2i copies to the image."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The replica uses the installed package, as in the image, so the folder does not have its source.
_INSTALLED = frozenset(("LICENSE", "NOTICE", "pyproject.toml", "seldon_kafka"))


def stage(folder: Path) -> Path:
    """Creates a folder with symbolic links to the files that `.s2iignore` includes.

    Args:
        folder: path of the folder, which may exist.

    Returns:
        The same path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: ROOT / name for name in _included_names()}
    for link in folder.iterdir():
        if link.is_symlink() and link.name not in wanted:
            link.unlink()
    for name, target in wanted.items():
        with contextlib.suppress(FileExistsError):
            (folder / name).symlink_to(target)
    return folder


def staging_folder(state: Path) -> Path:
    """Returns the path for `stage`: each checkout has its own folder below the state folder."""
    return state / f"app-{hashlib.sha256(str(ROOT).encode('utf-8')).hexdigest()[:12]}"


def _included_names() -> list[str]:
    lines = (ROOT / ".s2iignore").read_text("utf-8").splitlines()
    names = [line.removeprefix("!") for line in lines if line.startswith("!")]
    return [name for name in names if name not in _INSTALLED]
