"""Decides when consumption stops because the user model fails at too many messages.

The number of consecutive failures is committed as offset metadata. So the next worker that reads
the partition continues the count, after any restart and on any machine.
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
        consecutive: number of consecutive errors.
        ratio: share of errors in the last `WINDOW` messages.
    """

    consecutive: int
    ratio: float


class Count(NamedTuple):
    """Consecutive errors of one kind, and the latest messages with and without them."""

    consecutive: int = 0
    window: Tuple[bool, ...] = ()

    def after(self, failures: Sequence[bool], limits: Limits) -> Tuple[Count, Optional[str]]:
        """Returns the count after further messages, and the limit that they reach, as text."""
        if not any(failures) and not any(self.window):
            # The usual case; no limit can be reached.
            length = min(WINDOW, len(self.window) + len(failures))
            return Count(0 if failures else self.consecutive, (False,) * length), None
        consecutive, met = self.consecutive, None
        window = collections.deque(self.window, maxlen=WINDOW)
        bad = sum(window)
        for failure in failures:
            consecutive = consecutive + 1 if failure else 0
            bad += failure - (window[0] if len(window) == WINDOW else 0)
            window.append(failure)
            if limits.consecutive and consecutive >= limits.consecutive:
                met = met or f"{consecutive} messages in a row"
            if limits.ratio and len(window) == WINDOW and bad > limits.ratio * WINDOW:
                met = met or f"{bad / WINDOW:.0%} of the last {WINDOW} messages"
        return Count(consecutive, tuple(window)), met


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

        The metadata is ignored once the user model has answered a message in this process.
        """
        failed = int(metadata[len(_METADATA) :]) if _IS_METADATA.match(metadata) else 0
        if self.proven or failed <= self.failed.consecutive:
            return self
        return self._replace(failed=self.failed._replace(consecutive=failed))

    @property
    def metadata(self) -> str:
        """The offset metadata from which another worker continues the count; "" for none."""
        failed = self.failed.consecutive
        return f"{_METADATA}{failed}" if failed else ""

    def after(self, outcomes: Sequence[Outcome]) -> Tuple[Breaker, Optional[str]]:
        """Returns the breaker after further outcomes, and the reason not to commit them, if any."""
        rejections = [item if isinstance(item, Rejection) else None for item in outcomes]
        # An error of a sender does not show that the user model works.
        failures = [item is not None for item in rejections if item is None or item.failed]
        proven = self.proven or not all(failures)
        # The first answer in this process resets the count of an earlier version.
        before = self.failed if proven == self.proven else self.failed._replace(consecutive=0)
        failed, why_failed = before.after(failures, self.failed_limits)
        rejected, why_rejected = self.rejected.after(
            [item is not None and not item.failed for item in rejections], self.rejected_limits
        )
        why = None
        if why_failed:
            latest = next(item for item in reversed(rejections) if item and item.failed)
            why = f"the class failed at {why_failed}, last: {latest.message}"
        elif why_rejected:
            why = f"invalid messages: {why_rejected}"
        return self._replace(failed=failed, rejected=rejected, proven=proven), why
