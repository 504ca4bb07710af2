"""What the package holds."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

from seldon_kafka import __version__
from tests.support.package_environments import ROOT, build


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"seldon_kafka-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"seldon_kafka-{__version__}.dist-info/METADATA").decode()
        licences = {name.rpartition("/")[2] for name in archive.namelist() if "/licenses/" in name}
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "seldon_kafka"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert names == {name for name in tracked if (ROOT / name).is_file()} - {
        "seldon_kafka/README.md"
    }
    assert "seldon_kafka/py.typed" in names
    assert licences == {"LICENSE", "NOTICE"}
    assert "License-Expression: Apache-2.0" in metadata
    assert "Provides-Extra: seldon" in metadata


def test_a_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    source = build(tmp_path / "sdist", "sdist")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2].partition("/")[0] for name in archive.getnames()}
    assert names - {"", ".gitignore"} == {
        "LICENSE", "NOTICE", "PKG-INFO", "pyproject.toml", "seldon_kafka",
    }  # fmt: skip
