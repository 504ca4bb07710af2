"""Stops consumption when the class fails at most of what it gets, before the topic is emptied."""

from __future__ import annotations

import collections
from typing import NamedTuple, Optional, Sequence, Tuple

from kafka.messages import Outcome, Rejection
from kafka.settings import Settings

WINDOW = 200
"""How many of the latest messages the ratios are taken over."""


class Limits(NamedTuple):
    """From how many on consumption stops; 0 means never.

    Attributes:
        consecutive: in a row.
        ratio: of the last `WINDOW` messages.
    """

    consecutive: int
    ratio: float


class Count(NamedTuple):
    """The latest messages, as far as one kind of trouble goes."""

    consecutive: int = 0
    window: Tuple[bool, ...] = ()

    def after(self, troubles: Sequence[bool], limits: Limits) -> Tuple[Count, Optional[str]]:
        """The count after further messages, and which limit was met on the way, if any."""
        consecutive, met = self.consecutive, None
        window = collections.deque(self.window, maxlen=WINDOW)
        bad = sum(window)
        for trouble in troubles:
            consecutive = consecutive + 1 if trouble else 0
            bad += trouble - (window[0] if len(window) == WINDOW else 0)
            window.append(trouble)
            if limits.consecutive and consecutive >= limits.consecutive:
                met = met or f"{consecutive} messages in a row"
            if limits.ratio and len(window) == WINDOW and bad > limits.ratio * WINDOW:
                met = met or f"{bad / WINDOW:.0%} of the last {WINDOW} messages"
        return Count(consecutive, tuple(window)), met


class Breaker(NamedTuple):
    """Counts what the class failed at, and apart from it what senders got wrong."""

    failed_limits: Limits
    rejected_limits: Limits
    failed: Count = Count()
    rejected: Count = Count()

    @classmethod
    def of(cls, settings: Settings, failed: int = 0) -> Breaker:
        """A breaker with the settings' limits, after so many failures in a row."""
        return cls(
            Limits(settings.max_failed_consecutive, settings.max_failed_ratio),
            Limits(settings.max_rejected_consecutive, settings.max_rejected_ratio),
            Count(failed),
        )

    def after(self, outcomes: Sequence[Outcome]) -> Tuple[Breaker, Optional[str]]:
        """The breaker after further outcomes, and why to stop before publishing them, if so."""
        rejections = [item if isinstance(item, Rejection) else None for item in outcomes]
        failed, why_failed = self.failed.after(
            [item is not None and item.failed for item in rejections], self.failed_limits
        )
        rejected, why_rejected = self.rejected.after(
            [item is not None and not item.failed for item in rejections], self.rejected_limits
        )
        why = None
        if why_failed:
            latest = next(item for item in reversed(rejections) if item and item.failed)
            why = f"the class failed at {why_failed}, last: {latest.message}"
        elif why_rejected:
            why = f"senders got {why_rejected} wrong"
        return self._replace(failed=failed, rejected=rejected), why
