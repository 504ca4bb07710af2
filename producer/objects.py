"""The objects of a folder or a bucket as messages: one each, read while others are sent."""

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
_LARGEST_BYTES = 64 * 2**20
_LONGEST_REASON = 500


class Objects:
    """Makes the messages of a location, and counts what is no picture.

    At most `_AHEAD` objects are in memory, however many the location has.

    Attributes:
        left_out: How many had a row in the results already.
        unreadable: How many are no picture that can be sent.
        trouble: Why there are no more messages, where the location could not be read to its end.
    """

    def __init__(
        self,
        location: Location,
        wire_format: WireFormat,
        run: str | None,
        done: Set[str],
        report: Callable[[str], None],
    ) -> None:
        """Nothing is read yet.

        Args:
            location: The objects.
            wire_format: How their pictures are encoded.
            run: The run's name. With one, an object that is no picture has a message as well,
                without a value and with the reason as a header, so that the results account
                for it; without one it has none.
            done: Names to leave out.
            report: Is told of each object that is no picture, with its name and why.
        """
        self.left_out = 0
        self.unreadable = 0
        self.trouble: LocationError | None = None
        self._location = location
        self._format = wire_format
        self._run = run
        self._done = done
        self._report = report

    def messages(self, count: int | None = None) -> Iterator[Message]:
        """The messages, in the order in which the location lists its objects.

        Args:
            count: How many at most.

        Raises:
            LocationError: The location is empty, or can't be listed at all.
        """
        entries = self._location.entries()
        first = next(entries, None)
        if first is None:
            raise LocationError(
                f"there is no object in {self._location.address}: check the address"
            )
        wanted = self._wanted(itertools.chain([first], entries))
        return self._while_readable(itertools.islice(self._read_ahead(wanted), count))

    def _while_readable(self, every: Iterator[Message]) -> Iterator[Message]:
        # Not raised: whoever sends has others under way, and is to wait for them.
        try:
            yield from every
        except LocationError as error:
            self.trouble = error

    def _wanted(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if entry.name in self._done:
                self.left_out += 1
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
        if entry.size > _LARGEST_BYTES:
            raise BadPicture(f"it has {entry.size:,} bytes, at most {_LARGEST_BYTES:,} are taken")
        content = self._location.read(entry.name)
        try:
            return encode(self._format, to_kmnist(content)[None])
        except BadPicture:
            raise
        except Exception as error:  # whatever a decoder raises at one file must not end the run
            raise BadPicture(f"it can't be decoded: {error!r}") from error

    def _message(self, entry: Entry, value: Future[bytes]) -> Iterator[Message]:
        key = entry.name.encode()
        headers = [(OBJECT, key)]
        if self._run is not None:
            headers.append((RUN, self._run.encode()))
        try:
            own = self._format.headers()
            yield Message(key, value.result(), [*own, *headers], images=1)
        except (BadPicture, ObjectGone) as error:
            self.unreadable += 1
            self._report(f"{entry.name}: {error}")
            if self._run is not None:
                why = str(error)[:_LONGEST_REASON].encode("utf-8", "replace")
                yield Message(key, b"", [*headers, (UNREADABLE, why)], images=0)
