"""`s2i build`, or without that command what it does, with the Docker engine alone."""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from sdep.s2i_environment import read_environment
from tests.support.image_engine import docker, inspect

_BUILD_S = 900


def build(source: Path, builder: str, tag: str) -> None:
    """Makes an image of a source folder with a builder image.

    Args:
        source: the folder; a `.s2iignore` in it counts.
        builder: an image with the label `io.openshift.s2i.scripts-url`.
        tag: what the image is to be called.

    Raises:
        AssertionError: the build failed; the message has what it said.
    """
    command = shutil.which("s2i")
    if command is None:
        _build_as_s2i(source, builder, tag)
        return
    options = ["--copy", "--pull-policy", "never", "--network", "host"]
    ran = subprocess.run(
        [command, "build", *options, str(source), builder, tag],
        capture_output=True,
        text=True,
        timeout=_BUILD_S,
    )
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-4000:]


def _build_as_s2i(source: Path, builder: str, tag: str) -> None:
    config = inspect(builder)["Config"]
    scripts = config["Labels"]["io.openshift.s2i.scripts-url"].removeprefix("image://")
    own = source / ".s2i" / "bin"
    # The source's own scripts go before the builder's, and are kept apart from the source.
    assemble, run = (
        f"/tmp/scripts/{name}" if (own / name).exists() else f"{scripts}/{name}"
        for name in ("assemble", "run")
    )
    variables = read_environment(source)
    container = f"s2i-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        kept = shutil.copytree(source, Path(folder) / "src", ignore=_ignored(source))
        for name in ("assemble", "run"):
            (kept / ".s2i" / "bin" / name).unlink(missing_ok=True)
        try:
            docker(
                "create", "--name", container, "--network", "host",
                "--user", config["Labels"]["io.openshift.s2i.assemble-user"],
                *(part for each in variables.items() for part in ("--env", "=".join(each))),
                builder, assemble,
            )  # fmt: skip
            docker("cp", f"{kept}/.", f"{container}:/tmp/src")
            if own.is_dir():
                docker("cp", f"{own}/.", f"{container}:/tmp/scripts")
            docker("start", "--attach", container)
            changes = [f'CMD ["{run}"]', f"USER {config['User']}"]
            options = [part for each in changes for part in ("--change", each)]
            docker("commit", *options, container, tag)
        finally:
            docker("rm", "--force", container)


def _ignored(source: Path) -> Callable[[str, list[str]], set[str]]:
    """What `.s2iignore` leaves out of the source's top folder; patterns below it are not known."""
    path = source / ".s2iignore"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    patterns = [line for line in lines if line and not line.startswith("#")]

    def choose(folder: str, names: list[str]) -> set[str]:
        left_out: set[str] = set()
        for pattern in patterns if Path(folder) == source else ():
            if pattern.startswith("!"):
                left_out -= set(fnmatch.filter(names, pattern[1:]))
            else:
                left_out |= set(fnmatch.filter(names, pattern))
        return left_out

    return choose
