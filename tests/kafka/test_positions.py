"""Where a partition is read from, and when that is a gap."""

from __future__ import annotations

import pytest

from kafka.worker.positions import start_of


@pytest.mark.parametrize(
    ("committed", "latest", "offset"),
    [(None, False, 10), (None, True, 90), (10, False, 10), (50, True, 50), (90, False, 90)],
)
def test_reading_starts_at_the_commit_else_where_the_setting_says(
    committed: int, latest: bool, offset: int
) -> None:
    start = start_of(0, committed, 10, 90, latest=latest)
    assert (start.offset, start.gap) == (offset, None)


def test_messages_deleted_unread_are_a_gap() -> None:
    start = start_of(2, 4, 10, 90, latest=False)
    assert start.offset == 10
    assert "partition 2: 6 messages from offset 4 on were deleted" in str(start.gap)


def test_a_topic_made_anew_is_a_gap() -> None:
    start = start_of(2, 91, 0, 90, latest=False)
    assert start.offset == 0
    assert "made anew" in str(start.gap)
