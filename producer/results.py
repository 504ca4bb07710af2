"""Results as Parquet: parts that are written whole, one row an image."""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.parquet as pq

from producer.locations import Location, LocationError, open_location

_OF = b"of"  # in a part's metadata: the address of the run's objects
_PREFIX, _SUFFIX = "part-", ".parquet"
_TIME = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one image.

    Attributes:
        object: The object's name, if the message had one.
        key: The message's key, as text.
        row: Which image of its message, from 0 on.
        label: The class with the highest probability; None if there was no answer.
        hiragana: Its character, if it has one.
        confidence: Of the label, from 0 to 1.
        abstain: The model would rather not say.
        outlier: The model takes the image for something else than it was made for.
        probabilities: Of all classes, in the order of the reply.
        truth: What the sender said that it shows.
        model: Which one answered, if the reply says so.
        reason: Why there is no answer, a stable word.
        message: The same in a sentence.
        worker: Who answered.
        partition: Of the input topic.
        offset: In that partition.
        timestamp_ms: When the input was sent, in ms since 1970; where there is no answer,
            when it was rejected.
        collected_ms: When the answer was read.
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
    # A column's type has the unit, so its name need not.
    [(name.removesuffix("_ms"), _TYPES.get(name, pa.string())) for name in _FIELDS]
)


class Results:
    """The parts of a run, or of nothing in particular, in a location."""

    def __init__(self, location: Location, run: str | None = None, of: str = "") -> None:
        """Name them; nothing is read yet.

        Args:
            location: Where results go.
            run: The run's name: its parts have a folder `run=…`, which readers of Parquet take
                for a column.
            of: The address of the run's objects, which its parts remember.
        """
        self.location = location if run is None else location.below(f"run={run}")
        self._of = of
        self._known: set[str] = set()

    @classmethod
    def of_run(cls, address: str, run: str, objects: Location) -> Results:
        """The results of a run.

        Args:
            address: Where they go, see `producer.locations.open_location`.
            run: The run's name.
            objects: What the run is of.

        Raises:
            LocationError: The location is inside of the objects' own.
        """
        location = open_location(address)
        if location.address.startswith(objects.address):
            raise LocationError(
                f"{location.address} lies in {objects.address}, whose objects it would be among: "
                "name another location for the results"
            )
        return cls(location, run, objects.address)

    def new_objects(self) -> set[str]:
        """The names of objects that have a row, in parts that were not there before.

        Raises:
            LocationError: The parts can't be read, or are of another location's objects.
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
            raise LocationError(f"{where} is no part of these results: move it away") from error
        of = (part.schema_arrow.metadata or {}).get(_OF, b"").decode()
        if of != self._of:
            raise LocationError(
                f"{where} is of the objects in {of}, not of {self._of}: name another run"
            )
        return set(names)

    def write(self, name: str, rows: Sequence[Row]) -> None:
        """Write rows as one more part, whole or not at all.

        Args:
            name: Of `part_name`. The same one again writes the same part again.
            rows: What is in it.

        Raises:
            LocationError: It can't be written.
        """
        columns = [
            pa.array([getattr(row, field) for row in rows], kind)
            for field, kind in zip(_FIELDS, SCHEMA.types, strict=True)
        ]
        table = pa.Table.from_arrays(columns, schema=SCHEMA.with_metadata({_OF: self._of}))
        content = io.BytesIO()
        pq.write_table(table, content, compression="zstd")
        self.location.write(name, content.getvalue())
        self._known.add(name)


def part_name() -> str:
    """A name that no part has; by name, they are in the order in which they were begun."""
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    return f"{_PREFIX}{moment}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
