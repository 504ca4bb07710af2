"""Compiles the requirements files from pyproject.toml: `make lock`, `make lock UPGRADE=1`.

Each file has the digest of what it was compiled from on its first line, so that a test can tell
without an index whether it is up to date. Pins stay as they are as long as they agree with
pyproject.toml; with `--upgrade` they become the newest that do.
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
# uv repeats tool.uv's machines at each pin. Without them the files can be read, and a machine that
# they are not for fails where it lacks a wheel, in place of getting nothing.
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
        file: Its path in the repository.
        python: The oldest Python that it is for.
        groups: Dependency groups that it has, beside the dependencies of the package.
        extras: Extras of the package.
        constrained: Whether it takes the versions of the image's.
        options: More arguments for uv.
    """

    file: str
    python: str
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ("seldon",)
    constrained: bool = True
    options: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The arguments of `uv pip compile`."""
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
    """The digest of what a file is compiled from: pyproject.toml's dependencies, and its pins."""
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
    """Whether a file was compiled from pyproject.toml as it is."""
    path = ROOT / lock.file
    return path.exists() and path.read_text("utf-8").startswith(f"{_BEGIN}{digest(lock)}\n")


def compile_lock(lock: Lock, uv: str, *, upgrade: bool) -> None:
    """Writes a file.

    Raises:
        subprocess.CalledProcessError: uv fails, and has said why.
    """
    more = ["--upgrade"] if upgrade else []
    command = [uv, "pip", "compile", "--quiet", *lock.arguments, *more]
    subprocess.run(command, cwd=ROOT, check=True)
    path = ROOT / lock.file
    compiled = _without_machines(path.read_text("utf-8"))
    path.write_text(f"{_BEGIN}{digest(lock)}\n{compiled}", "utf-8")


def _without_machines(text: str) -> str:
    text = text.replace(f" and ({_MAC} or {_ON_LINUX})", "")
    # Python 3.8 is the image's, so it is Linux's alone.
    old = r"(python_full_version [<>=]+ '3\.[89]') and \("
    return re.sub(old + re.escape(_ON_LINUX) + r"\)", r"\1", text)


def main() -> int:
    """Compiles the files whose inputs have changed, or all of them.

    Returns:
        Exit status: 0 done, 1 uv failed.
    """
    parser = argparse.ArgumentParser(prog="python locks.py", description=main.__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    parser.add_argument("--uv", default="uv", help="the uv to run (%(default)s)")
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
