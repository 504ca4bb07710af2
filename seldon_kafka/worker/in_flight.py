"""The records in flight of a worker, in a small file that outlives the process.

When a worker dies during a call of the user model (a hang, a segmentation fault, out of memory),
the next process reads the file. The next process answers those records one at a time, so each
further death points to one record. After `KAFKA_CRASH_ATTEMPTS` deaths this record becomes a dead
letter.
"""

from __future__ import annotations

import contextlib
import json
import operator
import os
import threading
import time
from pathlib import Path
from typing import Iterator, List, Mapping, NamedTuple, Optional, Sequence

import orjson

from seldon_kafka.messages import JsonObject, Record
from seldon_kafka.worker.identity import file_name

_SUFFIX = ".in-hand.json"
# Older suspects are dropped: a topic that was deleted and created again has other records at the
# same offsets.
_REMEMBERED_S = 24 * 3600.0


class Suspect(NamedTuple):
    """A range of records that are in flight, or were in flight when a worker died.

    Attributes:
        topic: input topic.
        partition: number of the partition.
        first: offset of the first record.
        last: offset of the last record. Records of other batches may lie between the two.
        deaths: number of workers that died with these records in flight; 0 before the first death.
        at_s: time of the last death, in seconds since 1970; 0 before the first death.
    """

    topic: str
    partition: int
    first: int
    last: int
    deaths: int
    at_s: float = 0.0

    def covers(self, record: Record) -> bool:
        """Returns whether the record is in this range of offsets."""
        return (
            self.first <= record.offset <= self.last
            and self.partition == record.partition
            and self.topic == record.topic
        )


_offset = operator.attrgetter("offset")


class InFlight:
    """The records in flight of one worker, and the suspects of its group.

    Args:
        folder: the folder with the files of all workers on this machine.
        transactional_id: transactional id of the worker. The worker's file is named after it, so a
            process reads the file of the last process with the same id.
        group: the worker's consumer group; files of other groups are ignored.

    Raises:
        OSError: the folder can't be written.
    """

    def __init__(self, folder: Path, transactional_id: str, group: str) -> None:
        self._folder = folder
        self._group = group
        self._path = folder / (file_name(transactional_id) + _SUFFIX)
        self._suspects: List[Suspect] = suspects_of(self._path)
        self._held: List[Sequence[Suspect]] = []
        self._called_with: Sequence[Record] = ()
        self._called: Sequence[Suspect] = ()
        self._lock = threading.Lock()
        self._descriptor = os.open(str(self._path), os.O_RDWR | os.O_CREAT, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        self._write()

    def hold(self, records: Sequence[Record]) -> bool:
        """Writes the records of the current call of the user model, instead of the last call's.

        Args:
            records: records of one topic; empty if no call is under way.

        Returns:
            False if `records` is the very list of the last call, so that nothing was written.
        """
        if records is self._called_with:
            return False
        ranges = self._ranges(records)
        with self._lock:
            self._called_with, self._called = records, ranges
            self._write()
        return True

    @contextlib.contextmanager
    def holding(self, records: Sequence[Record]) -> Iterator[None]:
        """Keeps records of one topic in the file while the body of the `with` block decodes them.

        After an exception the records stay in the file, because they caused the exception, which
        ends the worker.
        """
        ranges = self._ranges(records)
        with self._lock:
            self._held.append(ranges)
            self._write()
        yield
        with self._lock:
            self._held = [held for held in self._held if held is not ranges]
            self._write()

    def _ranges(self, records: Sequence[Record]) -> List[Suspect]:
        # The messages of a stack are not in the order of their offsets.
        ordered = sorted(records, key=_offset)
        first = {record.partition: record.offset for record in reversed(ordered)}
        last = {record.partition: record for record in ordered}
        return [
            Suspect(record.topic, partition, first[partition], record.offset, self.deaths(record))
            for partition, record in last.items()
        ]

    @property
    def has_suspects(self) -> bool:
        """Whether any record is suspected."""
        return bool(self._suspects)

    def deaths(self, record: Record) -> int:
        """Returns how many workers died with this record in flight."""
        if not self._suspects:
            return 0
        return max((item.deaths for item in self._suspects if item.covers(record)), default=0)

    def forget(self, topic: str, partition: int, position: int) -> None:
        """Drops suspects that end before a committed offset, because their records are answered."""
        if self._suspects:
            self._suspects = [
                item
                for item in self._suspects
                if (item.topic, item.partition) != (topic, partition) or item.last >= position
            ]

    def adopt(self, positions: Mapping[int, int], topic: str) -> None:
        """Reads the suspects in the files of the group's other workers, after an assignment.

        Args:
            positions: start offset, by partition; records before it are answered.
            topic: the input topic.
        """
        for path in sorted(self._folder.glob("*" + _SUFFIX)):
            if path != self._path and _load(path).get("group") == self._group:
                found = suspects_of(path, died=not _is_alive(path))
                self._suspects.extend(item for item in found if item not in self._suspects)
        for partition, position in positions.items():
            self.forget(topic, partition, position)

    def close(self) -> None:
        """Closes the file, and removes it unless a suspect is not answered yet.

        No record may be in flight.
        """
        os.close(self._descriptor)
        if not self._suspects:
            self._path.unlink()

    def _write(self) -> None:
        document = {
            "pid": os.getpid(),
            "group": self._group,
            "held": [suspect for ranges in (self._called, *self._held) for suspect in ranges],
            "suspects": self._suspects,
        }
        text = orjson.dumps(document, default=list)
        # One write covers the whole file, so that no reader sees half of the document.
        os.pwrite(self._descriptor, text.ljust(self._size), 0)
        self._size = max(self._size, len(text))


def clear_in_flight(folder: Path, transactional_id: str) -> None:
    """Clears the records in flight of a worker that was killed because it stopped too slowly."""
    path = folder / (file_name(transactional_id) + _SUFFIX)
    document = _load(path)
    if document.get("held"):
        path.write_text(json.dumps({**document, "held": []}), "ascii")


def _load(path: Path) -> JsonObject:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def suspects_of(path: Path, *, died: bool = True) -> List[Suspect]:
    """Returns the suspects of the last 24 hours in a worker's file.

    Args:
        path: the file, which may be missing.
        died: whether the worker died. If so, the records in flight in its file are suspects too.
    """
    try:
        written_at = path.stat().st_mtime
    except OSError:
        # The worker has not written it yet, or has just removed it.
        return []
    document = _load(path)
    found = [Suspect(*item) for item in document.get("suspects", ())]
    if died:
        held = [Suspect(*item) for item in document.get("held", ())]
        found += [item._replace(deaths=item.deaths + 1, at_s=written_at) for item in held]
    return [item for item in found if time.time() - item.at_s < _REMEMBERED_S]


def _is_alive(path: Path) -> bool:
    pid: Optional[int] = _load(path).get("pid")
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
