"""The identity of a worker, and a lock that makes it unique on this machine."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, NamedTuple, Optional

from seldon_kafka.config.settings import Settings, SettingsError


class WorkerIdentity(NamedTuple):
    """The identity of a worker.

    Attributes:
        name: the worker's name in headers, logs and metrics.
        transactional_id: unique in the Kafka cluster, and the same after a restart.
    """

    name: str
    transactional_id: str


def identity_of(settings: Settings, index: int) -> WorkerIdentity:
    """Returns the identity of the worker with this index under its supervisor."""
    name = f"{settings.worker_id}.{index}"
    return WorkerIdentity(name, f"{settings.group_id}.{name}")


def file_name(text: str) -> str:
    """Returns a text as a file name; each character but letters, digits and `._-` becomes `_`."""
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in text)


def state_folder(settings: Settings) -> Path:
    """Returns the folder for files that outlive a worker, and creates it if it is missing.

    Raises:
        SettingsError: the folder can't be created or written, or it lies in `/tmp` and is another
            user's.
    """
    folder = Path(settings.state_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(str(folder), os.W_OK)
        foreign = folder.stat().st_uid != os.getuid() and folder.parent == Path("/tmp")  # noqa: S108
    except OSError as error:
        raise SettingsError(f"KAFKA_STATE_DIR={folder}: {error.strerror}") from None
    # Another user who created the folder in `/tmp` could read its files.
    if foreign or not writable:
        raise SettingsError(
            f"KAFKA_STATE_DIR={folder} can't be written or is another user's; name another folder"
        )
    return folder


def lock(settings: Settings, transactional_id: str) -> Optional[IO[str]]:
    """Returns the lock file of this id, locked; None if another worker on this machine holds it.

    Raises:
        SettingsError: the state folder can't be used.
    """
    file = (state_folder(settings) / (file_name(transactional_id) + ".lock")).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
