"""The Docker engine of this machine, by its command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_BUILD_S = 900


def docker(*arguments: str | Path, stdin: bytes | None = None, timeout: float = _BUILD_S) -> str:
    """What a command prints.

    Raises:
        AssertionError: it failed; the message has what it said.
    """
    # The builder that every engine has: BuildKit's is a plug-in.
    environ = {**os.environ, "DOCKER_BUILDKIT": "0"}
    ran = subprocess.run(
        ["docker", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=environ,
        timeout=timeout,
    )
    said = ran.stdout.decode(errors="replace")
    assert ran.returncode == 0, (said + ran.stderr.decode(errors="replace"))[-4000:]
    return said


def build(file: str, source: Path, tag: str, **arguments: str) -> None:
    """Builds an image by a Dockerfile of sdep, from a copy of the source.

    Args:
        file: the Dockerfile's path in `sdep/`.
        source: the copy.
        tag: of the image.
        arguments: build arguments.
    """
    given = [part for each in arguments.items() for part in ("--build-arg", "=".join(each))]
    dockerfile = source / "sdep" / file
    docker("build", "--network", "host", *given, "-f", dockerfile, "-t", tag, source)


def engine_answers() -> bool:
    """Whether there is an engine here that this user may use."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, timeout=30)
    return asked.returncode == 0


def exists(image: str) -> bool:
    """Whether the engine has an image."""
    asked = subprocess.run(["docker", "image", "inspect", image], capture_output=True, timeout=30)
    return asked.returncode == 0


def inspect(name: str) -> dict[str, Any]:
    """What the engine knows of an image or a container."""
    (found,) = json.loads(docker("inspect", name))
    return dict(found)


def source() -> list[str]:
    """The files of the working tree that git knows or does not ignore, as a commit would."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return sorted(name for name in names if name and (ROOT / name).is_file())


def copy_source(folder: Path) -> None:
    """Copies these files, with their modes."""
    for name in source():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
