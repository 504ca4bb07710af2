"""Decides when failures of the user model or invalid messages stop consumption.

The number of consecutive failures of the user model is committed as offset metadata. So the next
worker that reads the partition continues the count, after any restart and on any machine.
"""

from __future__ import annotations

import collections
import re
from typing import NamedTuple, Optional, Sequence, Tuple

from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import Outcome, Rejection

WINDOW = 200
"""Number of latest messages over which ratios are computed."""

_METADATA = "failed="
_IS_METADATA = re.compile(_METADATA + r"\d{1,9}$")


class Limits(NamedTuple):
    """Limits at which consumption stops; 0 turns a limit off.

    Attributes:
        consecutive: number of consecutive errors at which consumption stops.
        ratio: share of errors in the last `WINDOW` messages above which consumption stops.
    """

    consecutive: int
    ratio: float


class Count(NamedTuple):
    """The count of one kind of errors.

    Attributes:
        consecutive: number of errors since the last message without one.
        window: for each of the last `WINDOW` messages, whether it had an error.
    """

    consecutive: int = 0
    window: Tuple[bool, ...] = ()

    def with_messages(
        self, failures: Sequence[bool], limits: Limits
    ) -> Tuple[Count, Optional[str]]:
        """Returns the count with further messages, and the limit that they reach as text, or None.

        Args:
            failures: for each message, whether it had an error.
            limits: limits of this count.
        """
        if not any(failures) and not any(self.window):
            # The usual case; no limit can be reached.
            length = min(WINDOW, len(self.window) + len(failures))
            return Count(0 if failures else self.consecutive, (False,) * length), None
        consecutive, reached = self.consecutive, None
        window = collections.deque(self.window, maxlen=WINDOW)
        errors = sum(window)
        for failure in failures:
            consecutive = consecutive + 1 if failure else 0
            errors += failure - (window[0] if len(window) == WINDOW else 0)
            window.append(failure)
            if limits.consecutive and consecutive >= limits.consecutive:
                reached = reached or f"{consecutive} messages in a row"
            if limits.ratio and len(window) == WINDOW and errors > limits.ratio * WINDOW:
                reached = reached or f"{errors / WINDOW:.0%} of the last {WINDOW} messages"
        return Count(consecutive, tuple(window)), reached


class Breaker(NamedTuple):
    """Counts failures of the user model and, separately, invalid messages.

    Attributes:
        failed_limits: limits of failures of the user model.
        rejected_limits: limits of invalid messages.
        failed: count of failures of the user model.
        rejected: count of invalid messages.
        proven: whether the user model has answered a message in this process.
    """

    failed_limits: Limits
    rejected_limits: Limits
    failed: Count = Count()
    rejected: Count = Count()
    proven: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Breaker:
        """Returns a breaker with the limits of the settings."""
        return cls(
            Limits(settings.max_failed_consecutive, settings.max_failed_ratio),
            Limits(settings.max_rejected_consecutive, 0),
        )

    def inheriting(self, metadata: str) -> Breaker:
        """Returns a breaker that continues the count in offset metadata.

        The metadata is ignored if it has no count, if the user model has answered a message in this
        process, or if this breaker's count is at least as high.
        """
        failed = int(metadata[len(_METADATA) :]) if _IS_METADATA.match(metadata) else 0
        if self.proven or failed <= self.failed.consecutive:
            return self
        return self._replace(failed=self.failed._replace(consecutive=failed))

    @property
    def metadata(self) -> str:
        """The offset metadata from which another worker continues the count; empty for 0."""
        failed = self.failed.consecutive
        return f"{_METADATA}{failed}" if failed else ""

    def with_outcomes(self, outcomes: Sequence[Outcome]) -> Tuple[Breaker, Optional[str]]:
        """Returns the breaker with further outcomes, and the reason not to commit them, or None."""
        rejections = [item if isinstance(item, Rejection) else None for item in outcomes]
        # An invalid message does not show that the user model works.
        failures = [item is not None for item in rejections if item is None or item.failed]
        proven = self.proven or not all(failures)
        # The first answer in this process resets the count from the offset metadata, because an
        # earlier version of the user model may have caused that count.
        earlier = self.failed if proven == self.proven else self.failed._replace(consecutive=0)
        failed, why_failed = earlier.with_messages(failures, self.failed_limits)
        rejected, why_rejected = self.rejected.with_messages(
            [item is not None and not item.failed for item in rejections], self.rejected_limits
        )
        why = None
        if why_failed:
            latest = next(item for item in reversed(rejections) if item and item.failed)
            why = f"the class failed for {why_failed}, last error: {latest.message}"
        elif why_rejected:
            why = f"invalid messages: {why_rejected}"
        return self._replace(failed=failed, rejected=rejected, proven=proven), why
