"""Where to start reading a partition, and what retention deleted unread."""

from __future__ import annotations

from typing import NamedTuple, Optional


class Gap(NamedTuple):
    """Offsets that the group has not read and that are gone.

    Attributes:
        partition: the partition.
        committed: the group's position.
        first: the first offset that is still there.
    """

    partition: int
    committed: int
    first: int

    def __str__(self) -> str:
        if self.first > self.committed:
            lost = self.first - self.committed
            return (
                f"partition {self.partition}: {lost} messages from offset {self.committed} on "
                "were deleted before they were read"
            )
        return (
            f"partition {self.partition}: the group stands at offset {self.committed}, past the "
            "end; the topic seems to have been made anew"
        )


class Start(NamedTuple):
    """The offset to read from, and the gap before it, if there is one."""

    offset: int
    gap: Optional[Gap] = None


def start_of(partition: int, committed: Optional[int], first: int, end: int) -> Start:
    """Where to start.

    Args:
        partition: the partition.
        committed: the group's offset in it, or None.
        first: offset of the first message there is (low watermark).
        end: offset after the last one (high watermark).
    """
    if committed is None:
        return Start(first)
    if first <= committed <= end:
        return Start(committed)
    return Start(first, Gap(partition, committed, first))
