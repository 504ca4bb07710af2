"""Builds the project's image like `make image`, and loads it and Seldon's executor to the node."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.kubernetes.operators import EXECUTOR_IMAGE
from tests.kubernetes.overlays import IMAGE
from tests.kubernetes.rig import Rig
from tests.support.image_bases import python_base, served
from tests.support.image_engine import copy_source, docker

_PYTHON = "3.8"


def load_images(rig: Rig) -> None:
    """Builds and loads the images; the project's has two tags, so that there is one to roll out."""
    with tempfile.TemporaryDirectory() as folder:
        copy_source(Path(folder))
        served(_PYTHON, Path(folder), f"{IMAGE}:0.1")
    # The label makes it a different image, like a new version of the model.
    docker(
        "build", "-t", f"{IMAGE}:0.2", "-",
        stdin=f"FROM {IMAGE}:0.1\nLABEL version=0.2\n".encode(),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy2(rig.home / "bin" / "seldon-executor", Path(folder) / "executor")
        shutil.copytree(rig.home / "openapi", Path(folder) / "openapi")
        (Path(folder) / "Dockerfile").write_text(
            f"FROM {python_base(_PYTHON)}\nCOPY executor /executor\nCOPY openapi /openapi\n"
            'USER 8888\nENTRYPOINT ["/executor"]\n',
            "utf-8",
        )
        docker("build", "-t", EXECUTOR_IMAGE, folder)
    rig.load(f"{IMAGE}:0.1", f"{IMAGE}:0.2", EXECUTOR_IMAGE)
