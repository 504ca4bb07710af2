"""The backend for workers on this machine, which `python -m kafka.replicas` manages."""

from __future__ import annotations

import http.client
from typing import Any

from consumer.dashboard.console import Program
from consumer.dashboard.fleet import (
    AUTOMATIC,
    BY_HAND,
    OFF,
    Action,
    Fleet,
    FleetError,
    Instance,
    Scaling,
    WorkerEvent,
)
from kafka.replicas.control import Client, NoManager
from kafka.replicas.manager import ReplicaError
from kafka.replicas.registry import Registry
from seldon_kafka.config.settings import Settings

_TIMEOUT_S = 1.5
_MOST_BYTES = 8 * 2**20


class LocalBackend:
    """Reads and controls the replicas of a group on this machine.

    Args:
        settings: names the group, the brokers and the state folder.

    Raises:
        SettingsError: the state folder can't be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = Client(Registry(settings))
        self._environment = {"KAFKA_BROKER": settings.broker}
        self._ports: dict[str, int] = {}

    @property
    def location(self) -> str:
        """The text `this machine`."""
        return "this machine"

    def snapshot(self) -> Fleet:
        """Returns a snapshot of all replicas.

        Raises:
            FleetError: no manager of replicas runs, or the manager does not answer.
        """
        try:
            status = self._client.status()
        except (NoManager, ReplicaError) as error:
            raise FleetError(str(error)) from error
        policy = status["policy"]
        running = [_instance(each) for each in status["replicas"]]
        gone = [_instance(each) for each in reversed(status["gone"])]
        self._ports = {
            _identity(each): each["ports"]["KAFKA_HTTP_PORT"] for each in status["replicas"]
        }
        return Fleet(
            instances=(*running, *gone),
            scaling=Scaling(
                policy["mode"],
                policy["minimum"],
                policy["maximum"],
                policy["count"],
                policy["lag_per_worker"],
            ),
            wanted=status["wanted"],
            modes=(OFF, BY_HAND, AUTOMATIC),
            events=tuple(WorkerEvent(**event) for event in status["events"]),
        )

    def fetch(self, instance: Instance, path: str) -> bytes:
        """Requests a path (`/status`, `/metrics`) of an instance's supervisor.

        Raises:
            FleetError: the instance has ended, or does not answer with status 200.
        """
        port = self._ports.get(instance.identity)
        if port is None:
            raise FleetError(f"{instance.name} is no longer running")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            content = response.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise FleetError(f"{instance.name} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise FleetError(f"{instance.name}: {path} has status {response.status}")
        return content

    def stop(self, name: str) -> Action:
        """Returns the action that stops a replica after its current batch."""
        return self._command("stop", name)

    def kill(self, name: str) -> Action:
        """Returns the action that kills a replica."""
        return self._command("kill", name)

    def kill_random(self) -> Action:
        """Returns the action that kills any one replica."""
        return self._command("kill", "--random")

    def scale(self, scaling: Scaling) -> Action:
        """Returns the action that sets the desired number of replicas."""
        return self._command(
            "scale",
            f"--{scaling.mode}",
            *("--minimum", str(scaling.minimum)),
            *("--maximum", str(scaling.maximum)),
            *("--count", str(scaling.count)),
            *("--lag", str(scaling.lag_per_worker)),
        )

    def close(self) -> None:
        """Does nothing, because there are no connections."""

    def _command(self, *arguments: str) -> Action:
        return Program(["kafka.replicas", *arguments], self._environment).action


def _identity(replica: dict[str, Any]) -> str:
    return f"{replica['name']}/{replica['pid']}/{replica['created_s']}"


def _instance(replica: dict[str, Any]) -> Instance:
    return Instance(
        name=replica["name"],
        identity=_identity(replica),
        started_s=replica["started_s"],
        ready=replica.get("ready", False),
        leaving=replica.get("leaving", False),
        ended_s=replica.get("ended_s"),
        why=replica.get("why", ""),
    )
