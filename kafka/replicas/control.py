"""Sends commands to the manager of replicas, as JSON over HTTP on a port of this machine.

Each request must have the token in the registry file, which a web page cannot read.
"""

from __future__ import annotations

import hmac
import http.client
import json
import os
import secrets
import threading
from collections.abc import Callable
from typing import Any

from kafka.replicas.manager import Manager, ReplicaError
from kafka.replicas.registry import Address, Registry
from kafka.replicas.scaling import Policy, PolicyError
from seldon_kafka.supervisor.listener import Answer, Listener, line

_TIMEOUT_S = 15.0
_MAX_REQUEST_BYTES = 65536
_JSON = "application/json"


class NoManager(Exception):
    """No manager of this group runs on this machine; the text says what to do."""


class Control:
    """Accepts commands for a manager from other processes of this machine.

    Args:
        manager: the manager.

    Attributes:
        address: address of the manager, for the registry.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._listener = Listener("127.0.0.1", 0, _refuse_get, self._post, _MAX_REQUEST_BYTES)
        port = int(self._listener.server_address[1])
        self.address = Address(os.getpid(), port, secrets.token_urlsafe(32))

    def __enter__(self) -> Control:
        """Starts a thread that answers requests."""
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops answering requests."""
        self._listener.shutdown()
        self._listener.server_close()

    def _post(self, path: str, body: bytes) -> Answer:
        try:
            request = json.loads(body)
            token = request.pop("token")
            if not hmac.compare_digest(token.encode(), self.address.token.encode()):
                return line(403, "the token is wrong")
            command = self._commands()[request.pop("do")]
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            return line(400, "the request is not a command")
        try:
            command(**request)
        except (ReplicaError, PolicyError) as error:
            return line(409, str(error))
        except TypeError:
            return line(400, "the command does not have these arguments")
        return Answer(200, _JSON, json.dumps(self._manager.status()).encode())

    def _commands(self) -> dict[str, Callable[..., Any]]:
        manager = self._manager
        return {
            "status": lambda: None,
            "scale": lambda policy: manager.set_policy(Policy(**policy)),
            "stop": lambda name: manager.stop(name),
            "kill": lambda name: manager.kill(name),
            "leave": manager.leave,
        }


class Client:
    """Sends commands to the manager of a group.

    Args:
        registry: has the address of the manager.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def status(self) -> dict[str, Any]:
        """Returns the result of `Manager.status`.

        Raises:
            NoManager: no manager runs.
            ReplicaError: the manager does not answer.
        """
        return self._request(do="status")

    def scale(self, policy: dict[str, Any]) -> dict[str, Any]:
        """Sets the policy, and returns the new status.

        Args:
            policy: the attributes of `Policy`, by name.

        Raises:
            NoManager: no manager runs.
            ReplicaError: the manager does not answer, or the policy is invalid.
        """
        return self._request(do="scale", policy=policy)

    def stop(self, name: str) -> dict[str, Any]:
        """Stops a replica after its current batch, and returns the new status.

        Raises:
            NoManager: no manager runs.
            ReplicaError: the manager does not answer, or no replica has this name.
        """
        return self._request(do="stop", name=name)

    def kill(self, name: str | None) -> dict[str, Any]:
        """Kills a replica, and returns the new status.

        Args:
            name: name of the replica; None for a random replica.

        Raises:
            NoManager: no manager runs.
            ReplicaError: the manager does not answer, no replica has this name, or no replica runs.
        """
        return self._request(do="kill", name=name)

    def leave(self) -> int:
        """Makes the manager stop all replicas and exit.

        Returns:
            Process id of the manager, which may still run.

        Raises:
            NoManager: no manager runs.
            ReplicaError: the manager does not answer.
        """
        return int(self._request(do="leave")["pid"])

    def _request(self, **request: Any) -> dict[str, Any]:
        address = self._registry.address()
        if address is None:
            raise NoManager("no replicas run here; start some: python -m kafka.replicas up")
        body = json.dumps({"token": address.token, **request})
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", "/", body)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ReplicaError(
                f"the manager (process {address.pid}) does not answer: {error}"
            ) from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ReplicaError(content.decode("utf-8", "replace").strip())
        answer: dict[str, Any] = json.loads(content)
        return answer


def _refuse_get(path: str) -> Answer:
    return line(405, "send commands with POST", allow="POST")
