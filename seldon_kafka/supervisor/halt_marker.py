"""A file that keeps consumption stopped across restarts of the container."""

from __future__ import annotations

from typing import Optional

from seldon_kafka.config.settings import Settings
from seldon_kafka.worker.identity import file_name, state_folder


class HaltMarker:
    """The file with the reason why consumption stopped.

    Args:
        settings: name of the group, name of the replica, and state folder.

    Raises:
        SettingsError: the state folder can't be used.
    """

    def __init__(self, settings: Settings) -> None:
        name = file_name(f"{settings.group_id}.{settings.worker_id}.halted")
        self.path = state_folder(settings) / name

    def read(self) -> Optional[str]:
        """Returns why consumption stopped, or None if it did not."""
        try:
            return self.path.read_text("utf-8")
        except FileNotFoundError:
            return None

    def write(self, why: str) -> None:
        """Writes the reason why consumption stops."""
        self.path.write_text(why, "utf-8")

    def remove(self) -> None:
        """Removes the file, so that consumption continues."""
        if self.path.exists():
            self.path.unlink()
