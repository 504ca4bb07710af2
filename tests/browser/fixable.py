"""The classifier with a fault that a test can fix while it serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from wrapper import KmnistClassifier
from wrapper.payload import to_rows

FAULT_AT = 77
"""Images whose first pixel has this brightness raise an error."""


class FixableClassifier(KmnistClassifier):
    """Fails for some images until the file at `FIX_FILE` exists."""

    def predict(self, X: Any, names: Any = None) -> Any:  # noqa: N803
        if (to_rows(X)[:, 0, 0] == FAULT_AT).any() and not Path(os.environ["FIX_FILE"]).exists():
            raise RuntimeError("a fault that will be fixed")
        return super().predict(X, names)
