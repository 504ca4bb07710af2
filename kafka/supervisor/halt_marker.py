"""Remembers that consumption was stopped on purpose, so that no restart by a platform undoes it."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from kafka.settings import Settings


class HaltMarker:
    """A file that says why consumption stopped.

    Args:
        settings: which group and replica, and where its state is.
    """

    def __init__(self, settings: Settings) -> None:
        name = f"{settings.group_id}.{settings.worker_id}.halted".replace("/", "_")
        self.path = Path(settings.state_dir) / name

    def read(self) -> Optional[str]:
        """Why consumption stopped, or None if it did not."""
        try:
            return self.path.read_text("utf-8")
        except FileNotFoundError:
            return None

    def write(self, why: str) -> None:
        """Remembers why."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.write_text(why, "utf-8")

    def remove(self) -> None:
        """Lets consumption go on."""
        if self.path.exists():
            self.path.unlink()
