"""Stops consumption when the class fails at most of what it gets, before the topic is emptied.

How many messages in a row it failed at is committed beside the group's positions, as their
metadata: whoever reads the partition next goes on counting, after whatever restart, on whatever
machine.
"""

from __future__ import annotations

import collections
import re
from typing import NamedTuple, Optional, Sequence, Tuple

from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import Outcome, Rejection

WINDOW = 200
"""How many of the latest messages the ratios are taken over."""

_METADATA = "failed="
_IS_METADATA = re.compile(_METADATA + r"\d{1,9}$")


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
        if not any(troubles) and not any(self.window):
            # As nearly always; nothing can be met by it.
            length = min(WINDOW, len(self.window) + len(troubles))
            return Count(0 if troubles else self.consecutive, (False,) * length), None
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
    """Counts what the class failed at, and apart from it what senders got wrong.

    Attributes:
        failed_limits: for what the class failed at.
        rejected_limits: for what senders got wrong.
        failed: counts what the class failed at.
        rejected: counts what senders got wrong.
        proven: the class has answered a message in this process.
    """

    failed_limits: Limits
    rejected_limits: Limits
    failed: Count = Count()
    rejected: Count = Count()
    proven: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Breaker:
        """A breaker with the settings' limits."""
        return cls(
            Limits(settings.max_failed_consecutive, settings.max_failed_ratio),
            Limits(settings.max_rejected_consecutive, settings.max_rejected_ratio),
        )

    def inheriting(self, metadata: str) -> Breaker:
        """Returns a breaker that continues the count in offset metadata.

        A user model that has answered in this process ignores it.
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
        """The breaker after further outcomes, and why to stop before publishing them, if so."""
        rejections = [item if isinstance(item, Rejection) else None for item in outcomes]
        # What a sender got wrong is no sign that the class works.
        troubles = [item is not None for item in rejections if item is None or item.failed]
        proven = self.proven or not all(troubles)
        # At its first answer a mended class leaves the past behind, even if one before it failed.
        before = self.failed if proven == self.proven else self.failed._replace(consecutive=0)
        failed, why_failed = before.after(troubles, self.failed_limits)
        rejected, why_rejected = self.rejected.after(
            [item is not None and not item.failed for item in rejections], self.rejected_limits
        )
        why = None
        if why_failed:
            latest = next(item for item in reversed(rejections) if item and item.failed)
            why = f"the class failed at {why_failed}, last: {latest.message}"
        elif why_rejected:
            why = f"senders got {why_rejected} wrong"
        return self._replace(failed=failed, rejected=rejected, proven=proven), why
