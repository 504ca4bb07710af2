"""Remembers that consumption was stopped on purpose, so that no restart by a platform undoes it."""

from __future__ import annotations

from typing import Optional

from seldon_kafka.config.settings import Settings
from seldon_kafka.worker.identity import file_name, state_folder


class HaltMarker:
    """A file that says why consumption stopped.

    Args:
        settings: which group and replica, and where its state is.

    Raises:
        SettingsError: the state folder can't be used.
    """

    def __init__(self, settings: Settings) -> None:
        name = file_name(f"{settings.group_id}.{settings.worker_id}.halted")
        self.path = state_folder(settings) / name

    def read(self) -> Optional[str]:
        """Why consumption stopped, or None if it did not."""
        try:
            return self.path.read_text("utf-8")
        except FileNotFoundError:
            return None

    def write(self, why: str) -> None:
        """Remembers why."""
        self.path.write_text(why, "utf-8")

    def remove(self) -> None:
        """Lets consumption go on."""
        if self.path.exists():
            self.path.unlink()
