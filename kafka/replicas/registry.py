"""Stores the address of a group's manager, and the manager's replicas, in a file."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO, Any, NamedTuple

import psutil

from kafka.replicas.replica import Replica, ReplicaEntry
from seldon_kafka.config.settings import Settings
from seldon_kafka.worker.identity import file_name, state_folder

_LOCK_TIMEOUT_S = 0.5


class Address(NamedTuple):
    """The address of a manager.

    Attributes:
        pid: id of the manager's process.
        port: port of the manager on 127.0.0.1.
        token: secret that each request must have, so that a web page cannot send a valid request.
    """

    pid: int
    port: int
    token: str


class Registry:
    """The file of one group, which only this user may read.

    Args:
        settings: group, and folder of the file.

    Raises:
        SettingsError: the state folder cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        name = file_name(f"{settings.group_id}.replicas")
        self._path = state_folder(settings) / f"{name}.json"
        self._lock_path = self._path.with_suffix(".lock")
        self._lock: IO[str] | None = None
        self._address: Address | None = None

    def acquire(self) -> bool:
        """Makes this process the only manager of the group.

        Returns:
            False if another manager of the group runs.
        """
        lock = self._lock_path.open("w")
        give_up_at = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # A process that only checks the lock in `_is_free` holds it for a moment.
                if time.monotonic() > give_up_at:
                    lock.close()
                    return False
                time.sleep(0.02)
                continue
            self._lock = lock
            return True

    def publish(self, address: Address) -> None:
        """Writes the address of this manager, and the live replicas of the previous manager."""
        self._address = address
        self.save([replica.entry for replica in self.live_replicas()])

    def address(self) -> Address | None:
        """Returns the address of the running manager; None if no manager runs."""
        content = self._content()
        # Only the lock shows whether a manager runs. A dead manager may have left the file.
        if content is None or content["address"] is None or self._is_free():
            return None
        return Address(**content["address"])

    def live_replicas(self) -> list[Replica]:
        """Returns the replicas in the file that still run."""
        found = []
        for entry in (self._content() or {}).get("replicas", []):
            try:
                found.append(Replica(ReplicaEntry(**entry)))
            except (psutil.NoSuchProcess, TypeError):
                continue
        return found

    def save(self, entries: list[ReplicaEntry]) -> None:
        """Writes the file with these replicas; a crash leaves either the old or the new file."""
        content = {
            "address": self._address and self._address._asdict(),
            "replicas": [entry._asdict() for entry in entries],
        }
        draft = self._path.with_suffix(".new")
        descriptor = os.open(str(draft), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        draft.replace(self._path)

    def delete(self) -> None:
        """Deletes the file, if it exists."""
        if self._path.exists():
            self._path.unlink()

    @property
    def log(self) -> Path:
        """Path of the log of a manager in the background."""
        return self._path.with_suffix(".log")

    def _content(self) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads(self._path.read_text("utf-8"))
            return content if {"address", "replicas"} <= set(content) else None
        except (OSError, ValueError, TypeError):
            return None

    def _is_free(self) -> bool:
        try:
            with self._lock_path.open("w") as probe:
                fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
