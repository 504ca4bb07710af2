"""The local cluster without a broker: its state, its ports, its command line."""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kafka.cluster.__main__ import main
from kafka.cluster.address import cluster_folder, running_bootstrap, running_nodes
from kafka.cluster.console import split_tool
from kafka.cluster.process import alive, end, free_port, port_is_free, spawn
from kafka.cluster.properties import TAKE_OVER, server_properties
from kafka.cluster.state import ClusterError, ClusterState, load_state, random_id, save_state


def ports() -> Callable[[], int]:
    counter = itertools.count(20000)
    return lambda: next(counter)


def grown(*sizes: int) -> ClusterState:
    state, port = ClusterState(cluster_id="id"), ports()
    for size in sizes:
        state = state.with_brokers(size, port)
    return state


def voters(state: ClusterState) -> list[int]:
    return [node.id for node in state.controllers]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((1,), [1]),
        ((2,), [1]),
        ((3,), [1, 2, 3]),
        ((5,), [1, 2, 3]),
        ((1, 2), [1]),
        ((1, 2, 3), [1, 2, 3]),
        ((2, 4), [1, 2, 3]),
    ],
)
def test_nodes_one_to_three_are_controllers_as_soon_as_there_are_three(
    sizes: tuple[int, ...], expected: list[int]
) -> None:
    assert voters(grown(*sizes)) == expected


def test_existing_nodes_keep_their_ports_when_the_cluster_grows() -> None:
    state = ClusterState(cluster_id="id")
    port = ports()
    one = state.with_brokers(1, port)
    three = one.with_brokers(3, port)
    assert three.node(1) == one.node(1)
    every = [p for n in three.nodes for p in (n.broker_port, n.controller_port)]
    assert len(set(every)) == len(every)


def test_only_the_initial_controllers_have_a_directory_id() -> None:
    state = grown(1, 3)
    assert [node.directory_id is not None for node in state.nodes] == [True, False, False]


def test_a_smaller_number_of_brokers_does_not_shrink_the_cluster() -> None:
    assert len(grown(3, 1).nodes) == 3


def test_the_state_is_read_back_as_written(tmp_path: Path) -> None:
    state = grown(1, 3)
    save_state(tmp_path, state)
    assert load_state(tmp_path) == state


def test_a_folder_without_a_cluster_has_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    assert running_bootstrap(tmp_path) is None


def test_a_state_file_with_other_content_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text("{}")
    with pytest.raises(ClusterError, match="down --delete"):
        load_state(tmp_path)


def test_the_error_for_an_unknown_node_names_the_known_ones() -> None:
    with pytest.raises(ClusterError, match="no node 4; this cluster has: 1, 2, 3"):
        grown(3).node(4)


def test_ids_are_valid_on_kafkas_command_line() -> None:
    ids = [random_id() for _ in range(500)]
    assert all(len(i) == 22 and not i.startswith("-") for i in ids)
    assert len(set(ids)) == 500


def test_every_node_has_the_broker_settings_for_a_quick_take_over(tmp_path: Path) -> None:
    state = grown(3)
    for node in state.nodes:
        lines = server_properties(state, node, tmp_path, {}).splitlines()
        assert {f"{key}={value}" for key, value in TAKE_OVER.items()} <= set(lines)
        assert "auto.create.topics.enable=false" in lines
        assert "transaction.state.log.replication.factor=3" in lines
        assert "transaction.state.log.min.isr=2" in lines


def test_a_broker_listens_on_this_machine_only(tmp_path: Path) -> None:
    state = grown(3)
    text = server_properties(state, state.node(1), tmp_path, {})
    listeners = next(line for line in text.splitlines() if line.startswith("listeners="))
    assert all(part.startswith("127.0.0.1:") for part in listeners.split("://")[1:])


def test_a_dead_cluster_with_a_state_file_is_not_reported_as_running(tmp_path: Path) -> None:
    save_state(tmp_path, grown(1))
    assert running_nodes(tmp_path) == {}
    assert running_bootstrap(tmp_path) is None


def test_a_node_is_found_by_its_command_line_without_a_recorded_process_id(tmp_path: Path) -> None:
    save_state(tmp_path, grown(1))
    properties = tmp_path / "node-1" / "server.properties"
    properties.parent.mkdir()
    wait = "import time; time.sleep(60)"
    pid = spawn(
        [sys.executable, "-c", wait, "kafka.Kafka", str(properties)], tmp_path / "console.log"
    )
    try:
        assert running_nodes(tmp_path) == {1: pid}
        assert running_nodes(tmp_path / "other") == {}
        assert running_bootstrap(tmp_path) == "127.0.0.1:20000"
    finally:
        end([pid], timeout_s=0)
    assert not alive(pid)
    assert running_bootstrap(tmp_path) is None


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); "
    console = tmp_path / "console.log"
    pid = spawn([sys.executable, "-c", code + "time.sleep(60)"], console)
    while "up" not in (console.read_text() if console.exists() else ""):
        assert alive(pid)
    end([pid], timeout_s=0.2)
    assert not alive(pid)


def test_a_free_port_is_outside_the_range_of_outgoing_connections() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for port in [free_port() for _ in range(20)]:
        assert port_is_free(port)
        assert not low <= port <= high or low <= 12000


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not port_is_free(server.getsockname()[1])


def test_the_folder_comes_from_the_argument_then_the_environment_then_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_CLUSTER_DIR", str(tmp_path / "a"))
    assert cluster_folder(tmp_path / "b") == tmp_path / "b"
    assert cluster_folder() == tmp_path / "a"
    monkeypatch.delenv("KAFKA_CLUSTER_DIR")
    assert cluster_folder() == Path(__file__).resolve().parents[2] / ".cluster"


def test_arguments_after_the_name_of_a_console_tool_belong_to_the_tool() -> None:
    assert split_tool(["--folder", "x", "console-consumer", "--topic", "t", "--help"]) == (
        ["--folder", "x", "console-consumer"],
        ["--topic", "t", "--help"],
    )
    assert split_tool(["up", "--brokers", "3"]) == (["up", "--brokers", "3"], [])


@pytest.mark.parametrize("command", [["status"], ["add"], ["kill", "1"]])
def test_without_a_cluster_the_error_says_how_to_start_one(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--folder", str(tmp_path / "none"), *command]) == 1
    error = capsys.readouterr().err
    assert "python -m kafka.cluster up" in error
    assert "Traceback" not in error


def test_down_without_a_cluster_succeeds(tmp_path: Path) -> None:
    assert main(["--folder", str(tmp_path / "none"), "down"]) == 0


def test_the_error_of_a_console_tool_without_a_broker_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KAFKA_BROKER", raising=False)
    assert main(["--folder", str(tmp_path), "console-consumer", "--topic", "t"]) == 1
    assert "KAFKA_BROKER" in capsys.readouterr().err


def test_added_brokers_listen_on_the_host_of_the_first(tmp_path: Path) -> None:
    first = ClusterState(cluster_id="id").with_brokers(1, ports(), "127.0.0.2")
    state = first.with_brokers(3, ports())
    assert [node.host for node in state.nodes] == ["127.0.0.2"] * 3
    assert state.bootstrap.startswith("127.0.0.2:")
    properties = server_properties(state, state.nodes[2], tmp_path, {})
    assert f"advertised.listeners=PLAINTEXT://127.0.0.2:{state.nodes[2].broker_port}" in properties
    save_state(tmp_path, state)
    assert load_state(tmp_path) == state
