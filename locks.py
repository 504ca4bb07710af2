"""Compiles the requirements files from pyproject.toml: `make lock`, `make lock UPGRADE=1`.

The first line of each file has a digest of the file's inputs. So a test can check without a package
index whether the file is up to date. A pinned version stays as long as pyproject.toml allows it.
With `--upgrade` each version becomes the newest that pyproject.toml allows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent
IMAGE = "requirements.txt"
# uv writes the environments of `tool.uv` as a marker after each pin. The marker is removed, so that
# the files are readable. With the marker, pip would also succeed on every other system without
# installing anything.
_LINUX = (
    "(platform_machine == '{}' and platform_python_implementation == 'CPython' "
    "and sys_platform == 'linux')"
)
_MAC = (
    "(platform_machine == 'arm64' and platform_python_implementation == 'CPython' "
    "and sys_platform == 'darwin')"
)
_ON_LINUX = f"{_LINUX.format('aarch64')} or {_LINUX.format('x86_64')}"
_BEGIN = "# Compiled by `make lock` from pyproject.toml; digest of the inputs: "


@dataclass(frozen=True)
class Lock:
    """A requirements file.

    Attributes:
        file: path in the repository.
        python: oldest version of Python that can install the file.
        groups: dependency groups to include, in addition to the package's dependencies.
        extras: extras of the package to include.
        constrained: whether versions are those of the image's requirements file.
        options: further arguments of uv.
    """

    file: str
    python: str
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ("seldon",)
    constrained: bool = True
    options: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The arguments of `uv pip compile` for this file."""
        words = ["pyproject.toml", "--universal", "--python-version", self.python]
        words += ["--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate"]
        for extra in self.extras:
            words += ["--extra", extra]
        for group in self.groups:
            words += ["--group", group]
        if self.constrained:
            words += ["--constraints", IMAGE]
        return [*words, *self.options, "--output-file", self.file]


LOCKS = (
    Lock(IMAGE, "3.8", groups=("image",), constrained=False),
    Lock("sdep/builder/requirements.txt", "3.8", extras=()),
    Lock("sdep/batch/requirements.txt", "3.10", groups=("clients",), extras=()),
    Lock("requirements-demo.txt", "3.10", groups=("demo",)),
    Lock("requirements-dev.txt", "3.10", groups=("development",)),
    Lock("requirements-train.txt", "3.10", groups=("training",)),
    Lock(
        "tests/package/requirements.txt", "3.10", groups=("beside",), extras=(), constrained=False
    ),
)


def digest(lock: Lock) -> str:
    """Returns the digest of a file's inputs, as SHA-256 in hex.

    The inputs are the dependencies in pyproject.toml, the settings and arguments of uv, and the
    image's requirements file if it constrains this file.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    inputs: list[Any] = [
        project["project"]["dependencies"],
        project["project"]["optional-dependencies"],
        [_flattened(project["dependency-groups"], name) for name in lock.groups],
        project["tool"]["uv"],
        lock.arguments,
    ]
    if lock.constrained:
        inputs.append((ROOT / IMAGE).read_text("utf-8"))
    return hashlib.sha256(json.dumps(inputs).encode("utf-8")).hexdigest()


def _flattened(groups: dict[str, Any], name: str) -> list[str]:
    found: list[str] = []
    for each in groups[name]:
        is_group = isinstance(each, dict)
        found += _flattened(groups, each["include-group"]) if is_group else [each]
    return found


def is_up_to_date(lock: Lock) -> bool:
    """Returns whether a file was compiled from the current inputs; False for a missing file."""
    path = ROOT / lock.file
    return path.exists() and path.read_text("utf-8").startswith(f"{_BEGIN}{digest(lock)}\n")


def compile_lock(lock: Lock, uv: str, *, upgrade: bool) -> None:
    """Compiles a requirements file.

    Args:
        lock: file to write.
        uv: name or path of uv.
        upgrade: whether to pin the newest versions instead of the file's.

    Raises:
        subprocess.CalledProcessError: uv failed, and has printed the reason.
        OSError: uv cannot be run.
    """
    more = ["--upgrade"] if upgrade else []
    command = [uv, "pip", "compile", "--quiet", *lock.arguments, *more]
    subprocess.run(command, cwd=ROOT, check=True)
    path = ROOT / lock.file
    compiled = _without_environments(path.read_text("utf-8"))
    path.write_text(f"{_BEGIN}{digest(lock)}\n{compiled}", "utf-8")


def _without_environments(text: str) -> str:
    """Removes the markers that uv writes for the environments of `tool.uv`."""
    text = text.replace(f" and ({_MAC} or {_ON_LINUX})", "")
    # Only the image has Python 3.8, so these markers name only Linux.
    old = r"(python_full_version [<>=]+ '3\.[89]') and \("
    return re.sub(old + re.escape(_ON_LINUX) + r"\)", r"\1", text)


def main() -> int:
    """Compiles the files whose inputs have changed, or all files with `--upgrade`.

    Returns:
        0 on success, uv's exit status if uv failed, 2 for wrong arguments or if uv cannot be run.
    """
    parser = argparse.ArgumentParser(
        prog="python locks.py",
        description="Compiles the requirements files whose inputs have changed.",
    )
    parser.add_argument(
        "--upgrade", action="store_true", help="compile all files, with the newest versions"
    )
    parser.add_argument("--uv", default="uv", help="name or path of uv (%(default)s)")
    options = parser.parse_args()
    for lock in LOCKS:
        if options.upgrade or not is_up_to_date(lock):
            sys.stderr.write(f"compiling {lock.file}\n")
            try:
                compile_lock(lock, options.uv, upgrade=options.upgrade)
            except subprocess.CalledProcessError as error:
                return error.returncode
            except OSError as error:
                sys.stderr.write(f"error: {options.uv} can't be run: {error.strerror}\n")
                return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
