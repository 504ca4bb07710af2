"""Which worker this is, and that no other on this machine is the same."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, NamedTuple, Optional

from seldon_kafka.config.settings import Settings, SettingsError


class WorkerIdentity(NamedTuple):
    """Which worker this is.

    Attributes:
        name: as headers, logs and metrics call it.
        transactional_id: unique in the Kafka cluster, and the same after a restart.
    """

    name: str
    transactional_id: str


def identity_of(settings: Settings, index: int) -> WorkerIdentity:
    """The worker with this index below the supervisor that the settings name."""
    name = f"{settings.worker_id}.{index}"
    return WorkerIdentity(name, f"{settings.group_id}.{name}")


def file_name(text: str) -> str:
    """Text as a file's name: what might be a path or a pattern becomes `_`."""
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in text)


def state_folder(settings: Settings) -> Path:
    """The folder for what must outlive a worker, made if need be.

    Raises:
        SettingsError: it can't be made, or belongs to somebody else.
    """
    folder = Path(settings.state_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(str(folder), os.W_OK)
        foreign = folder.stat().st_uid != os.getuid() and folder.parent == Path("/tmp")  # noqa: S108
    except OSError as error:
        raise SettingsError(f"KAFKA_STATE_DIR={folder}: {error.strerror}") from None
    # In the shared temporary folder anybody may have made it, and could read along.
    if foreign or not writable:
        raise SettingsError(f"KAFKA_STATE_DIR={folder} is not ours to write; name another folder")
    return folder


def lock(settings: Settings, transactional_id: str) -> Optional[IO[str]]:
    """A lock that one worker of this id on this machine can have, or None if it is taken.

    Raises:
        SettingsError: the state folder can't be used.
    """
    held = (state_folder(settings) / (file_name(transactional_id) + ".lock")).open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        return None
    return held
