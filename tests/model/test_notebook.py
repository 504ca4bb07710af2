"""The notebook `explore.ipynb` runs from top to bottom."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.model.data import needs_data
from tests.support.environments import ROOT, TRAINING_PYTHON, with_tensorflow
from tests.support.patience import patient

NOTEBOOK = ROOT / "model" / "explore.ipynb"
SMALL = "IMAGES = 1_000\nEPOCHS = 1\nPICTURES = 20\n"

RUN = """
import sys
import nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
where = {"metadata": {"path": sys.argv[2]}}
limit_s = float(sys.argv[3])
nbclient.NotebookClient(
    notebook, timeout=limit_s, kernel_name="python3", resources=where
).execute()
nbformat.write(notebook, sys.argv[1])
"""


def cells(path: Path = NOTEBOOK) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
    return found


def test_the_notebook_is_stored_without_results() -> None:
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)


def test_one_cell_has_all_parameters() -> None:
    (cell,) = [cell for cell in cells() if "parameters" in cell["metadata"].get("tags", [])]
    message = {line.split(" = ")[0] for line in cell["source"]}
    assert message == {line.split(" = ")[0] for line in SMALL.splitlines()}


def test_the_notebook_defines_no_functions_or_classes() -> None:
    source = "".join(line for cell in cells() for line in cell["source"])
    assert not [word for word in ("def ", "class ", "lambda") if word in source]


@pytest.mark.full
@pytest.mark.timeout(500)
@needs_data
@with_tensorflow
def test_the_notebook_runs_from_top_to_bottom_and_shows_its_pictures(tmp_path: Path) -> None:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            cell["source"] = SMALL
    path = tmp_path / "explore.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    ran = subprocess.run(
        [TRAINING_PYTHON, "-c", RUN, str(path), str(NOTEBOOK.parent), str(patient(400))],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    drawing = [cell for cell in code if "pictures." in "".join(cell["source"])]
    assert len(drawing) >= 7
    for cell in drawing:
        assert [output for output in cell["outputs"] if "image/png" in output.get("data", {})]
    complaints = [each for cell in code for each in cell["outputs"] if each.get("name") == "stderr"]
    assert complaints == []
