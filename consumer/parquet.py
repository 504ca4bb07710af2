"""Turns answers into rows, and writes the rows as parts, which are Parquet files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Set
from types import TracebackType
from typing import Any

from consumer.answers import Answer
from producer.locations import LocationError
from producer.results import Results, Row, part_name

PART_ROWS = 50_000
"""Default limit of the number of rows in a part; such a part has about 4 MB."""

PART_S = 60.0
"""Seconds after which a part is written even if it has fewer rows than the limit."""

_UNREADABLE_REPLY = "unreadable_reply"


def rows_of(answer: Answer, collected_ms: int) -> Iterator[Row]:
    """Yields the rows of an answer: one for each image, or one for an answer without labels.

    Args:
        answer: the answer.
        collected_ms: time at which the answer was read, in ms since 1970.
    """
    _, partition, offset = answer.input_position or (None, None, None)

    def row(number: int, **found: Any) -> Row:
        return Row(
            object=answer.object or None,
            key=answer.key,
            row=number,
            truth=answer.truth[number] if number < len(answer.truth) else None,
            model=answer.model or None,
            worker=answer.worker,
            partition=partition,
            offset=offset,
            timestamp_ms=answer.timestamp_ms,
            collected_ms=collected_ms,
            **found,
        )

    if not answer.labels:
        yield row(0, reason=answer.reason or _UNREADABLE_REPLY, message=answer.message)
    for number, label in enumerate(answer.labels):
        yield row(
            number,
            label=label.name,
            hiragana=label.hiragana or None,
            confidence=label.confidence,
            abstain=label.abstain,
            outlier=label.outlier,
            probabilities=tuple(value for _, value in label.probabilities),
        )


class Parts:
    """Gathers rows, and writes them as parts; leaving the context writes the last part.

    Args:
        results: writes the parts to storage.
        most_rows: number of rows from which a part is due.
        commit: function that commits the offsets. Each `flush` calls it at its end, when all
            gathered rows are written.
    """

    def __init__(self, results: Results, most_rows: int, commit: Callable[[], None]) -> None:
        self._results = results
        self._most = most_rows
        self._commit = commit
        self._rows: list[Row] = []
        self._begin()

    def _begin(self) -> None:
        self._name = part_name()
        self._since = time.monotonic()

    def take(self, answer: Answer, latency_ms: float | None = None) -> None:
        """Adds the rows of an answer to the part; the latency is ignored."""
        self.add(rows_of(answer, int(1000 * time.time())))

    def add(self, rows: Iterable[Row]) -> None:
        """Adds rows to the part."""
        self._rows.extend(rows)

    @property
    def due(self) -> bool:
        """Whether the part has enough rows, or was begun `PART_S` seconds ago or earlier."""
        return len(self._rows) >= self._most or time.monotonic() - self._since >= PART_S

    def flush_if_due(self) -> None:
        """Writes the part if it is due."""
        if self.due:
            self.flush()

    def flush(self, except_objects: Set[str] = frozenset()) -> int:
        """Writes the part unless it is empty, begins a new part, and commits.

        Args:
            except_objects: names of objects whose rows are not written.

        Returns:
            The number of rows that were written.

        Raises:
            LocationError: the part can't be written.
            consumer.reader.ReadError: the part was written, but the offsets can't be committed.
        """
        rows = [row for row in self._rows if row.object not in except_objects]
        if rows:
            # If an exception interrupts the write, the next flush writes these rows again. The part
            # then has the same name, so that no row is there twice.
            self._results.write(self._name, rows)
        self._rows.clear()
        self._begin()
        self._commit()
        return len(rows)

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After a `LocationError`, another attempt to write the part would fail too.
        if not isinstance(error, LocationError):
            self.flush()
