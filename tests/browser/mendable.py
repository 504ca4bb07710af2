"""The classifier with a fault that can be mended while it serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from wrapper import KmnistClassifier
from wrapper.payload import to_rows

FAULT_AT = 77
"""A first pixel of this brightness is what it fails at."""


class Mendable(KmnistClassifier):
    """Fails at some images, until the file that `MEND_FILE` names is there."""

    def predict(self, X: Any, names: Any = None) -> Any:  # noqa: N803
        if (to_rows(X)[:, 0, 0] == FAULT_AT).any() and not Path(os.environ["MEND_FILE"]).exists():
            raise RuntimeError("a fault that will be mended")
        return super().predict(X, names)
