"""The requirements files: as pyproject.toml has them, complete, and without addresses."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import locks
from tests.support.package_environments import run

EVERY = pytest.mark.parametrize("lock", locks.LOCKS, ids=lambda lock: lock.file)


@EVERY
def test_a_file_is_compiled_from_the_inputs_that_its_first_line_names(lock: locks.Lock) -> None:
    assert locks.is_up_to_date(lock), "run make lock"


@EVERY
def test_every_version_is_pinned_with_hashes_and_no_address_is_in_the_file(
    lock: locks.Lock,
) -> None:
    text = (locks.ROOT / lock.file).read_text("utf-8")
    pins = [line for line in text.splitlines() if line[:1].isalnum()]
    assert all(re.match(r"[a-z0-9.-]+(\[[a-z0-9,-]+\])?==\S+ ", line) for line in pins)
    assert all(line.endswith("\\") for line in pins), "a pin without a hash"
    assert "://" not in text
    assert "index-url" not in text


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "file",
    [lock.file for lock in locks.LOCKS if lock.file != "requirements-train.txt"],
)
def test_pip_takes_a_file_too(file: str) -> None:
    """`environment.sh` installs with the pip of Python if uv is not available."""
    assert int(run(sys.executable, "-m", "pip", "--version").split()[1].split(".")[0]) >= 23
    options = ["--dry-run", "--ignore-installed", "--no-deps", "--require-hashes", "--quiet"]
    run(sys.executable, "-m", "pip", "install", *options, "-r", locks.ROOT / file)


def test_an_interrupted_environment_is_created_again(tmp_path: Path) -> None:
    folder, lock = tmp_path / "env", tmp_path / "requirements.txt"
    lock.write_text("# nothing\n")
    # An environment as it is before `venv` has installed pip.
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    run(locks.ROOT / "environment.sh", folder, sys.executable, lock)
    assert run(folder / "bin" / "python", "-m", "pip", "--version").startswith("pip ")
