"""Makes one message from each object of a storage location, and reads objects ahead."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Set
from concurrent.futures import Future, ThreadPoolExecutor

from producer.formats import WireFormat, encode
from producer.locations import Entry, Location, LocationError, ObjectGone
from producer.messages import Message
from producer.picture import BadPicture, to_kmnist
from producer.runs import OBJECT, RUN, UNREADABLE

_READERS = 16
_AHEAD = 4 * _READERS
_MAX_BYTES = 64 * 2**20
_MAX_REASON = 500


class Objects:
    """Makes the messages of a location, and counts objects that can't be read as pictures.

    At most `_AHEAD` objects are in memory.

    Args:
        location: storage location of the objects.
        wire_format: wire format of the messages.
        run: name of the run, or None. With a run, an object that can't be read becomes a message
            with an empty value and the reason in a header. So the results account for each
            object. Without a run, an object that can't be read becomes no message.
        done: names of the objects to skip.
        report: called with a line for each object that can't be read: its name and the reason.

    Attributes:
        skipped: number of objects that were skipped because `done` has their names.
        unreadable: number of objects that can't be read as pictures, including objects that were
            deleted after they were listed.
        error: the error that ended the messages early, or None.
    """

    def __init__(
        self,
        location: Location,
        wire_format: WireFormat,
        run: str | None,
        done: Set[str],
        report: Callable[[str], None],
    ) -> None:
        self.skipped = 0
        self.unreadable = 0
        self.error: LocationError | None = None
        self._location = location
        self._format = wire_format
        self._run = run
        self._done = done
        self._report = report

    def messages(self, count: int | None = None) -> Iterator[Message]:
        """Returns the messages, in the order of the location's listing.

        An error after the first object ends the messages, and is stored in `error`.

        Args:
            count: maximum number of messages; None returns all.

        Raises:
            LocationError: the location is empty, or cannot be listed.
        """
        entries = self._location.entries()
        first = next(entries, None)
        if first is None:
            raise LocationError(
                f"there is no object in {self._location.address}: check the address"
            )
        remaining = self._remaining(itertools.chain([first], entries))
        return self._until_error(itertools.islice(self._read_ahead(remaining), count))

    def _until_error(self, messages: Iterator[Message]) -> Iterator[Message]:
        # The error is stored and not raised, so that the sender waits for messages under way.
        try:
            yield from messages
        except LocationError as error:
            self.error = error

    def _remaining(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if entry.name in self._done:
                self.skipped += 1
            else:
                yield entry

    def _read_ahead(self, entries: Iterator[Entry]) -> Iterator[Message]:
        pool = ThreadPoolExecutor(_READERS, thread_name_prefix="objects")
        waiting: deque[tuple[Entry, Future[bytes]]] = deque()
        try:
            for entry in entries:
                waiting.append((entry, pool.submit(self._value, entry)))
                if len(waiting) >= _AHEAD:
                    yield from self._message(*waiting.popleft())
            while waiting:
                yield from self._message(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _value(self, entry: Entry) -> bytes:
        if entry.size > _MAX_BYTES:
            raise BadPicture(f"it has {entry.size:,} bytes, at most {_MAX_BYTES:,} are allowed")
        content = self._location.read(entry.name)
        try:
            return encode(self._format, to_kmnist(content)[None])
        except BadPicture:
            raise
        except Exception as error:  # an error of a decoder in one file must not end the run
            raise BadPicture(f"it can't be decoded: {error!r}") from error

    def _message(self, entry: Entry, value: Future[bytes]) -> Iterator[Message]:
        key = entry.name.encode()
        headers = [(OBJECT, key)]
        if self._run is not None:
            headers.append((RUN, self._run.encode()))
        try:
            format_headers = self._format.headers()
            yield Message(key, value.result(), [*format_headers, *headers], images=1)
        except (BadPicture, ObjectGone) as error:
            self.unreadable += 1
            self._report(f"{entry.name}: {error}")
            if self._run is not None:
                reason = str(error)[:_MAX_REASON].encode("utf-8", "replace")
                yield Message(key, b"", [*headers, (UNREADABLE, reason)], images=0)
