"""A class that takes its time."""

from __future__ import annotations

import time
from typing import Any


class Slow:
    """Answers after a second."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        time.sleep(1)
        return X
