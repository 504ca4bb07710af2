"""The start of reading in a partition, and gaps."""

from __future__ import annotations

import pytest

from seldon_kafka.worker.offsets import start_offset


@pytest.mark.parametrize(("committed", "offset"), [(None, 10), (10, 10), (50, 50), (90, 90)])
def test_reading_starts_at_the_commit_else_at_the_first_message(
    committed: int, offset: int
) -> None:
    start = start_offset(0, committed, 10, 90)
    assert (start.offset, start.gap) == (offset, None)


def test_messages_deleted_unread_are_a_gap() -> None:
    start = start_offset(2, 4, 10, 90)
    assert start.offset == 10
    assert "partition 2: 6 messages from offset 4 on were deleted" in str(start.gap)


def test_a_topic_that_was_created_again_is_a_gap() -> None:
    start = start_offset(2, 91, 0, 90)
    assert start.offset == 0
    assert "deleted and created again" in str(start.gap)
