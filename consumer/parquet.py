"""Answers as rows, and rows as parts of Parquet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Set
from types import TracebackType
from typing import Any

from consumer.answers import Answer
from producer.locations import LocationError
from producer.results import Results, Row, part_name

PART_ROWS = 50_000
"""Most rows of a part, unless told otherwise: about 4 MB."""

PART_S = 60.0
"""A part is written after so many seconds, however few rows there are."""

_UNREADABLE_REPLY = "unreadable_reply"


def rows_of(answer: Answer, collected_ms: int) -> Iterator[Row]:
    """The rows of a message: one an image, and one where there is no answer.

    Args:
        answer: What the message says.
        collected_ms: When it was read, in ms since 1970.
    """
    _, partition, offset = answer.place or (None, None, None)

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
    """Gathers rows until they are a part; as a context, it writes the last one at the end."""

    def __init__(self, results: Results, most_rows: int, commit: Callable[[], None]) -> None:
        """Begin with none.

        Args:
            results: Where parts go.
            most_rows: How many rows a part has, about.
            commit: Is called when everything that was taken is written.
        """
        self._results = results
        self._most = most_rows
        self._commit = commit
        self._rows: list[Row] = []
        self._begin()

    def _begin(self) -> None:
        self._name = part_name()
        self._since = time.monotonic()

    def take(self, answer: Answer, latency_ms: float | None = None) -> None:
        """Put the rows of a message into the part."""
        self.add(rows_of(answer, int(1000 * time.time())))

    def add(self, rows: Iterable[Row]) -> None:
        """Put rows into the part."""
        self._rows.extend(rows)

    @property
    def due(self) -> bool:
        """Whether there are enough rows, or the last part was written long ago."""
        return len(self._rows) >= self._most or time.monotonic() - self._since >= PART_S

    def keep_up(self) -> None:
        """Write the part if it is due."""
        if self.due:
            self.flush()

    def flush(self, but_for: Set[str] = frozenset()) -> int:
        """Write the part, unless it has no row, and commit.

        Args:
            but_for: Objects whose rows are not to be written.

        Returns:
            How many rows it has.

        Raises:
            LocationError: It can't be written.
            consumer.reader.ReadError: It was written, and can't be committed.
        """
        rows = [row for row in self._rows if row.object not in but_for]
        if rows:
            # If this is interrupted, the next attempt writes the part of the same name.
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
        # Where a part could not be written, it could not be now.
        if not isinstance(error, LocationError):
            self.flush()
