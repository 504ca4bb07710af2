"""A successor knows the records that were in flight when a worker died."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from seldon_kafka.worker.in_flight import InFlight, clear_in_flight, suspects_of
from tests.support.records import die_with, record

GROUP = "group"
TOPIC = "model_input"


def deaths(in_flight: InFlight, *offsets: int) -> list[int]:
    return [in_flight.deaths(record(b"x", offset)) for offset in offsets]


def test_a_successor_suspects_the_records_of_its_predecessor(tmp_path: Path) -> None:
    die_with(InFlight(tmp_path, "group.a.0", GROUP), [record(b"x", offset) for offset in (5, 6, 7)])
    successor = InFlight(tmp_path, "group.a.0", GROUP)
    assert deaths(successor, 4, 5, 6, 7, 8) == [0, 1, 1, 1, 0]


def test_messages_of_a_stack_are_suspected_in_any_order(tmp_path: Path) -> None:
    held = [
        record(b"x", offset, partition=partition) for offset in (9, 5, 7) for partition in (1, 2)
    ]
    die_with(InFlight(tmp_path, "w", GROUP), held)
    successor = InFlight(tmp_path, "w", GROUP)
    for each in held:
        assert successor.deaths(each) == 1


def test_each_further_death_with_one_record_in_flight_counts_for_that_record(
    tmp_path: Path,
) -> None:
    die_with(InFlight(tmp_path, "w", GROUP), [record(b"x", offset) for offset in (5, 6, 7)])
    die_with(InFlight(tmp_path, "w", GROUP), [record(b"x", 6)])
    assert deaths(InFlight(tmp_path, "w", GROUP), 5, 6, 7) == [1, 2, 1]


def test_a_clean_stop_between_two_deaths_keeps_the_count(tmp_path: Path) -> None:
    die_with(InFlight(tmp_path, "w", GROUP), [record(b"x", 6)])
    InFlight(tmp_path, "w", GROUP).close()
    die_with(InFlight(tmp_path, "w", GROUP), [record(b"x", 6)])
    successor = InFlight(tmp_path, "w", GROUP)
    assert deaths(successor, 6) == [2]
    successor.forget(TOPIC, record(b"x").partition, 7)
    successor.close()
    assert not list(tmp_path.iterdir())


def test_released_records_are_not_suspected(tmp_path: Path) -> None:
    first = InFlight(tmp_path, "w", GROUP)
    with first.holding([record(b"x", offset) for offset in range(1000, 2000)]):
        pass
    assert deaths(InFlight(tmp_path, "w", GROUP), 1000) == [0]


def test_a_call_of_the_class_holds_only_its_latest_records(tmp_path: Path) -> None:
    first = InFlight(tmp_path, "w", GROUP)
    first.hold([record(b"x", 5)])
    first.hold([record(b"x", 6)])
    assert deaths(InFlight(tmp_path, "w", GROUP), 5, 6) == [0, 1]


def test_a_call_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    first = InFlight(tmp_path, "w", GROUP)
    first.hold([record(b"x", 5)])
    first.hold(())
    assert deaths(InFlight(tmp_path, "w", GROUP), 5) == [0]


def test_two_threads_hold_records_independently(tmp_path: Path) -> None:
    first = InFlight(tmp_path, "w", GROUP)
    first.hold([record(b"x", 5)])
    with first.holding([record(b"x", 6)]):
        with first.holding([record(b"x", 7)]):
            pass
        assert [each.first for each in suspects_of(tmp_path / "w.in-hand.json")] == [5, 6]


def test_answered_suspects_are_forgotten(tmp_path: Path) -> None:
    die_with(InFlight(tmp_path, "w", GROUP), [record(b"x", 5), record(b"x", 6)])
    successor = InFlight(tmp_path, "w", GROUP)
    successor.forget("model_input", 3, 6)
    assert deaths(successor, 6) == [1]
    successor.forget("model_input", 3, 7)
    with successor.holding([]):
        pass
    assert deaths(InFlight(tmp_path, "w", GROUP), 5, 6) == [0, 0]


def as_of_a_dead_process(path: Path) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "pid": 2**22 + 1}))


def test_the_suspects_of_dead_neighbours_are_taken_over(tmp_path: Path) -> None:
    neighbour = InFlight(tmp_path, "w.1", GROUP)
    die_with(neighbour, [record(b"x", 5)])
    mine = InFlight(tmp_path, "w.0", GROUP)
    mine.adopt({3: 0}, TOPIC)
    assert deaths(mine, 5) == [0], "the neighbour is alive"
    as_of_a_dead_process(tmp_path / "w.1.in-hand.json")
    mine.adopt({3: 0}, TOPIC)
    assert deaths(mine, 5) == [1]


def test_the_suspects_of_a_living_neighbours_predecessor_are_taken_over(tmp_path: Path) -> None:
    die_with(InFlight(tmp_path, "w.1", GROUP), [record(b"x", 5), record(b"x", 6)])
    neighbour = InFlight(tmp_path, "w.1", GROUP)
    die_with(neighbour, [record(b"x", 9)])
    mine = InFlight(tmp_path, "w.0", GROUP)
    mine.adopt({3: 6}, TOPIC)
    assert deaths(mine, 5, 6, 9) == [1, 1, 0], "5 and 6 were held together"
    mine.adopt({3: 7}, TOPIC)
    assert deaths(mine, 5, 6) == [0, 0], "both are answered"


def test_suspects_of_another_group_are_ignored(tmp_path: Path) -> None:
    die_with(InFlight(tmp_path, "other.w.0", "other"), [record(b"x", 5)])
    as_of_a_dead_process(tmp_path / "other.w.0.in-hand.json")
    mine = InFlight(tmp_path, "w.0", GROUP)
    mine.adopt({3: 0}, TOPIC)
    assert deaths(mine, 5) == [0]


def test_a_truncated_or_foreign_file_is_ignored(tmp_path: Path) -> None:
    InFlight(tmp_path, "w", GROUP).close()
    (tmp_path / "w.in-hand.json").write_text('{"held": [')
    assert deaths(InFlight(tmp_path, "w", GROUP), 5) == [0]


def test_a_worker_that_was_killed_for_leaving_slowly_leaves_no_suspects(tmp_path: Path) -> None:
    die_with(InFlight(tmp_path, "w", GROUP), [record(b"x", 5)])
    clear_in_flight(tmp_path, "w")
    assert deaths(InFlight(tmp_path, "w", GROUP), 5) == [0]


def test_a_suspicion_expires_even_in_a_busy_worker(tmp_path: Path) -> None:
    die_with(InFlight(tmp_path, "w", GROUP), [record(b"x", 5)])
    path = tmp_path / "w.in-hand.json"
    os.utime(path, (0, time.time() - 23 * 3600))
    successor = InFlight(tmp_path, "w", GROUP)
    assert deaths(successor, 5) == [1]
    die_with(successor, [record(b"x", 9)])
    document = json.loads(path.read_text())
    day_old = [[*item[:-1], item[-1] - 3600] for item in document["suspects"]]
    path.write_text(json.dumps({**document, "suspects": day_old}))
    assert deaths(InFlight(tmp_path, "w", GROUP), 5, 9) == [0, 1]


def test_old_suspicions_are_dropped(tmp_path: Path) -> None:
    die_with(InFlight(tmp_path, "w", GROUP), [record(b"x", 5)])
    path = tmp_path / "w.in-hand.json"
    os.utime(path, (0, 0))
    assert deaths(InFlight(tmp_path, "w", GROUP), 5) == [0]
