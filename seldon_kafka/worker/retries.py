"""Delays tries after temporary errors of the user model, and decides when to give up a message."""

from __future__ import annotations

import random
import time
from typing import Callable, Mapping, Optional, Tuple

from seldon_kafka.errors import Retriable
from seldon_kafka.messages import Record

PROBE_AFTER = 5
"""Number of failed tries of a message alone, after which another message is tried as well."""

# The delay after the first failure, which doubles with each further failure, and its limit. The
# error itself may ask for a longer delay.
_FIRST_S = 0.05
_MOST_S = 30.0


class Retries:
    """The failed tries of the first message that is not answered.

    Args:
        give_up_after_s: time in seconds since its first failure after which a message is given up,
            if the last probe of another message was answered.
        clock: returns the seconds of a monotonic clock.
        chooser: random numbers, which spread the delays of many workers.
    """

    def __init__(
        self,
        give_up_after_s: float,
        clock: Callable[[], float] = time.monotonic,
        chooser: Optional[random.Random] = None,
    ) -> None:
        self._give_up_after_s = give_up_after_s
        self._clock = clock
        self._chooser = chooser or random.Random()  # noqa: S311 - waits, no secret
        self._message: Optional[Tuple[int, int]] = None
        self._since = 0.0
        self._tries = 0
        self._failures = 0
        self._resume_at = 0.0
        self._others_are_answered = False

    @property
    def is_waiting(self) -> bool:
        """Whether the delay before the next try has not ended."""
        return self._clock() < self._resume_at

    @property
    def wants_probe(self) -> bool:
        """Whether another message is to be tried, after `PROBE_AFTER` failed tries of this one."""
        return self._tries >= PROBE_AFTER

    @property
    def is_exhausted(self) -> bool:
        """Whether the message is to be given up: it fails for long, and another is answered."""
        return self._others_are_answered and self._clock() - self._since >= self._give_up_after_s

    def failed(self, record: Record, error: Retriable, *, single: bool) -> float:
        """Counts a failed try, and starts the delay before the next one.

        Args:
            record: the first message of the batch.
            error: the temporary error.
            single: whether the batch has this message only.

        Returns:
            The seconds until the next try.
        """
        message = (record.partition, record.offset)
        if message != self._message:
            self._message, self._since = message, self._clock()
            self._tries, self._others_are_answered = 0, False
        self._tries += single
        delay_s = min(_MOST_S, _FIRST_S * 2.0 ** min(self._failures, 20))
        self._failures += 1
        delay_s = max(delay_s * self._chooser.uniform(0.5, 1.0), error.retry_after_s)
        self._resume_at = self._clock() + delay_s
        return delay_s

    def probed(self, *, answered: bool) -> None:
        """Stores whether another message was answered while this one failed."""
        self._others_are_answered = answered

    def committed(self, positions: Mapping[int, int]) -> None:
        """Ends the delay after a commit, and forgets the message once it is committed.

        Args:
            positions: committed offset, by partition.
        """
        self._failures = 0
        self._resume_at = 0.0
        if self._message is not None and positions.get(self._message[0], -1) > self._message[1]:
            self._message = None
