"""Writes and reads results: Parquet files, called parts, with one row per image."""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.parquet as pq

from producer.locations import Location, LocationError, open_location

_OBJECTS_KEY = b"of"  # key in a part's metadata for the address of the run's objects
_PREFIX, _SUFFIX = "part-", ".parquet"
_TIME = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one image.

    Attributes:
        object: name of the object from which the message was made, if there is one.
        key: key of the message, as text.
        row: index of the image in its message, from 0.
        label: the class with the highest probability; None without an answer.
        hiragana: the character of the label, if it has one.
        confidence: probability of the label, from 0 to 1.
        abstain: whether the model abstains.
        outlier: whether the model flags the image as an outlier.
        probabilities: probabilities of all classes, in the order of the reply.
        truth: the true label, as sent with the message.
        model: name of the model, if the reply has it.
        reason: constant word for the reason of a rejection; None for an answer.
        message: description of the rejection; None for an answer.
        worker: name of the worker that answered or rejected the message.
        partition: partition of the message in the input topic.
        offset: offset of the message in its partition.
        timestamp_ms: time in ms since 1970 when the input was sent; for a rejected input, when it
            was rejected.
        collected_ms: time in ms since 1970 when the answer was read.
    """

    object: str | None
    key: str | None
    row: int
    label: str | None = None
    hiragana: str | None = None
    confidence: float | None = None
    abstain: bool | None = None
    outlier: bool | None = None
    probabilities: tuple[float, ...] | None = None
    truth: str | None = None
    model: str | None = None
    reason: str | None = None
    message: str | None = None
    worker: str | None = None
    partition: int | None = None
    offset: int | None = None
    timestamp_ms: int | None = None
    collected_ms: int | None = None


_TYPES = {
    "row": pa.int32(),
    "confidence": pa.float32(),
    "abstain": pa.bool_(),
    "outlier": pa.bool_(),
    "probabilities": pa.list_(pa.float32()),
    "partition": pa.int32(),
    "offset": pa.int64(),
    "timestamp_ms": _TIME,
    "collected_ms": _TIME,
}
_FIELDS = tuple(field.name for field in fields(Row))
SCHEMA = pa.schema(
    # The type of a column has the unit, so its name does not.
    [(name.removesuffix("_ms"), _TYPES.get(name, pa.string())) for name in _FIELDS]
)


class Results:
    """The parts of a run, or parts without a run, in a storage location.

    Args:
        location: storage location of the results.
        run: name of the run, whose parts are in a folder `run=…`; readers of Parquet show the name
            as a column. None for parts in the location itself.
        objects: address of the run's objects, which is stored in its parts.
    """

    def __init__(self, location: Location, run: str | None = None, objects: str = "") -> None:
        self.location = location if run is None else location.below(f"run={run}")
        self._objects = objects
        self._known: set[str] = set()

    @classmethod
    def of_run(cls, address: str, run: str, objects: Location) -> Results:
        """Returns the results of a run.

        Args:
            address: address of the results; see `producer.locations.open_location`.
            run: name of the run.
            objects: storage location of the run's objects.

        Raises:
            LocationError: the results' location is inside the objects' location.
        """
        location = open_location(address)
        if location.address.startswith(objects.address):
            raise LocationError(
                f"{location.address} is inside {objects.address}, so results would count as "
                "objects: choose another location for the results"
            )
        return cls(location, run, objects.address)

    def new_objects(self) -> set[str]:
        """Reads new parts, and returns the names of the objects that have a row in them.

        New parts are those that this instance has neither read nor written before.

        Raises:
            LocationError: a part cannot be read, or has results of another location's objects.
        """
        found: set[str] = set()
        for entry in self.location.entries():
            is_part = entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)
            if is_part and entry.name not in self._known:
                found |= self._objects_in(entry.name)
                self._known.add(entry.name)
        return found

    def _objects_in(self, name: str) -> set[str]:
        content = self.location.read(name)
        where = f"{self.location.address}{name}"
        try:
            part = pq.ParquetFile(pa.BufferReader(content))
            names = part.read(columns=["object"]).column("object").to_pylist()
        except (pa.ArrowException, KeyError, OSError) as error:
            raise LocationError(f"{where} is not a part of these results: move it away") from error
        objects = (part.schema_arrow.metadata or {}).get(_OBJECTS_KEY, b"").decode()
        if objects != self._objects:
            raise LocationError(
                f"{where} has results of {objects}, not of {self._objects}: choose another run name"
            )
        return set(names)

    def write(self, name: str, rows: Sequence[Row]) -> None:
        """Writes rows as a part, completely or not at all.

        Args:
            name: a name from `part_name`; the same name replaces the part.
            rows: rows of the part.

        Raises:
            LocationError: the part cannot be written.
        """
        columns = [
            pa.array([getattr(row, field) for row in rows], kind)
            for field, kind in zip(_FIELDS, SCHEMA.types, strict=True)
        ]
        schema = SCHEMA.with_metadata({_OBJECTS_KEY: self._objects})
        table = pa.Table.from_arrays(columns, schema=schema)
        content = io.BytesIO()
        pq.write_table(table, content, compression="zstd")
        self.location.write(name, content.getvalue())
        self._known.add(name)


def part_name() -> str:
    """Returns a new name for a part; names of different seconds sort by their time."""
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    return f"{_PREFIX}{moment}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
