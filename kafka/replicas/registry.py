"""A file that says who manages the replicas of a group here, how to ask it, and what it started."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO, Any, NamedTuple

import psutil

from kafka.replicas.replica import Birth, Replica
from seldon_kafka.config.settings import Settings
from seldon_kafka.worker.identity import file_name, state_folder

_TAKE_WITHIN_S = 0.5


class Address(NamedTuple):
    """How a manager is asked.

    Attributes:
        pid: its process.
        port: on 127.0.0.1.
        token: what it wants to hear, so that no web page can talk to it.
    """

    pid: int
    port: int
    token: str


class Registry:
    """The file of one group, readable by this user alone.

    Args:
        settings: which group, and the folder.

    Raises:
        SettingsError: the folder can't be used.
    """

    def __init__(self, settings: Settings) -> None:
        name = file_name(f"{settings.group_id}.replicas")
        self._path = state_folder(settings) / f"{name}.json"
        self._lock_path = self._path.with_suffix(".lock")
        self._held: IO[str] | None = None
        self._address: Address | None = None

    def take(self) -> bool:
        """Makes this process the group's one manager; False if there is another."""
        held = self._lock_path.open("w")
        give_up_at = time.monotonic() + _TAKE_WITHIN_S
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # Who only looks whether it is free holds it for an instant.
                if time.monotonic() > give_up_at:
                    held.close()
                    return False
                time.sleep(0.02)
                continue
            self._held = held
            return True

    def announce(self, address: Address) -> None:
        """Says how this manager is asked."""
        self._address = address
        self.note([replica.birth for replica in self.left_alive()])

    def address(self) -> Address | None:
        """How the living manager is asked; None if there is none."""
        content = self._content()
        # The lock tells whether its process lives, whatever the file says.
        if content is None or content["address"] is None or self._is_free():
            return None
        return Address(**content["address"])

    def left_alive(self) -> list[Replica]:
        """The replicas in the file that still run."""
        found = []
        for birth in (self._content() or {}).get("replicas", []):
            try:
                found.append(Replica(Birth(**birth)))
            except (psutil.NoSuchProcess, TypeError):
                continue
        return found

    def note(self, births: list[Birth]) -> None:
        """Writes down which replicas there are, so that a crash leaves the old or the new."""
        content = {
            "address": self._address and self._address._asdict(),
            "replicas": [birth._asdict() for birth in births],
        }
        draft = self._path.with_suffix(".new")
        descriptor = os.open(str(draft), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        draft.replace(self._path)

    def forget(self) -> None:
        """Removes the file; nothing is left to find."""
        if self._path.exists():
            self._path.unlink()

    @property
    def log(self) -> Path:
        """Where a manager in the background writes."""
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
