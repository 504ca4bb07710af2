"""Writes documents to a search engine, with retries, and replaces refused documents."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Callable, List, Optional, Sequence, TypeVar

from seldon_kafka.messages import Record
from seldon_kafka.request_log.documents import INDEX, Document, refused, refused_index
from seldon_kafka.request_log.search import Refusal, SearchEngine, TooLarge, Unavailable, Unusable

log = logging.getLogger("seldon_kafka.request_log")

_Found = TypeVar("_Found")

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 30.0
_BUSY = 429
# The limit of the number of tries for a document with a temporary error other than 429.
_MOST_TRIES = 5


class Stopped(Exception):
    """A wait for the search engine was stopped before all documents were written."""


class Delivery:
    """Writes documents, and retries after temporary errors.

    A document that is refused for good does not delay the others. A replacement with the record and
    the reason goes to the index for refused documents.

    Args:
        engine: the search engine.
        stopped: ends every wait for the search engine when it is set.

    Attributes:
        written: number of written documents, without replacements.
        refused: number of replaced documents: refused ones, and those of invalid records.
    """

    def __init__(self, engine: SearchEngine, stopped: threading.Event) -> None:
        self._engine = engine
        self._stopped = stopped
        self._wait_s = 0.0
        self.written = self.refused = 0

    def make_index(self, index: str) -> None:
        """Creates an index, and the index for refused documents, if they are missing.

        Raises:
            Stopped: the wait for the search engine was stopped.
            Unusable: an index can't be created.
        """
        for name in (index, refused_index(index)):
            if self._until_available(partial(self._engine.make_index, name, INDEX)):
                log.info("created index %s", name)

    def write(self, documents: Sequence[Document]) -> None:
        """Writes documents; retries after temporary errors, and splits a too large request.

        Raises:
            Stopped: the wait for the search engine was stopped.
            Unusable: the search engine refuses all documents, or a replacement.
        """
        waiting, tries = list(documents), 0
        while waiting:
            try:
                answers = self._until_available(partial(self._engine.write, waiting))
            except TooLarge:
                self._write_fewer(waiting)
                return
            tries += 1
            busy = [
                each for each, answer in zip(waiting, answers) if _is_tried_again(answer, tries)
            ]
            replaced = [
                self._replaced(each, answer)
                for each, answer in zip(waiting, answers)
                if answer is not None and not _is_tried_again(answer, tries)
            ]
            written = [each for each, answer in zip(waiting, answers) if answer is None]
            self.written += sum(each.is_own for each in written)
            waiting = busy + replaced
            if busy:
                self._pause("some documents had temporary errors")

    def refusal(self, record: Record, index: str, why: str, *, whole: bool = True) -> Document:
        """Returns the replacement of a refused document; logs and counts the refusal.

        Args:
            record: the record of the refused document.
            index: the index of the refused document.
            why: the reason.
            whole: whether the replacement has the record's value.
        """
        self.refused += 1
        stands_for = refused(record, index, why, whole=whole)
        log.warning("%s goes to index %s: %s", stands_for.source, stands_for.index, why)
        return stands_for

    def _replaced(self, document: Document, answer: Refusal) -> Document:
        why = f"{answer.status} {answer.why}"
        if not document.is_own:
            raise Unusable(f"index {document.index} refuses {document.source}: {why}")
        return self.refusal(document.record, document.index, why)

    def _write_fewer(self, documents: List[Document]) -> None:
        """Writes each half of documents that are too large for one request.

        A single document that is too large is replaced, at last by one without the record's value.
        """
        if len(documents) > 1:
            middle = len(documents) // 2
            self.write(documents[:middle])
            self.write(documents[middle:])
            return
        (document,) = documents
        why = "the document is larger than the search engine accepts"
        if document.is_own:
            self.write([self.refusal(document.record, document.index, why)])
        elif document.is_whole:
            smallest = refused(document.record, document.own_index, why, whole=False)
            self.write([smallest])
        else:
            raise Unusable(
                f"the search engine refuses even the smallest document of {document.source} (413)"
            )

    def _until_available(self, ask: Callable[[], _Found]) -> _Found:
        while True:
            try:
                found = ask()
            except Unavailable as error:
                self._pause(str(error))
                continue
            if self._wait_s:
                log.info("the search engine accepts requests again")
            self._wait_s = 0.0
            return found

    def _pause(self, why: str) -> None:
        """Waits before the next try; each wait is twice as long, up to 30 seconds."""
        if not self._wait_s:
            log.warning("waiting for the search engine: %s", why)
        self._wait_s = min(_LONGEST_WAIT_S, max(_FIRST_WAIT_S, 2 * self._wait_s))
        if self._stopped.wait(self._wait_s):
            raise Stopped


def _is_tried_again(answer: Optional[Refusal], tries: int) -> bool:
    """Returns whether a document is tried again; False if it was written.

    Status 429 is tried again for ever, and other temporary errors up to `_MOST_TRIES` times.
    """
    return answer is not None and (
        answer.status == _BUSY or (answer.is_for_later and tries < _MOST_TRIES)
    )
