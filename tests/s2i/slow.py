"""A class that takes its time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any


class Slow:
    """Answers after a second, and makes the file in SLOW_BEGUN when it begins."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        if "SLOW_BEGUN" in os.environ:
            Path(os.environ["SLOW_BEGUN"]).touch()
        time.sleep(1)
        return X
