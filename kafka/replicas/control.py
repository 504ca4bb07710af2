"""How a manager of replicas is told what to do: small JSON requests over a port of this machine.

Each holds the token of the registry's file, which no web page can read.
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

_WITHIN_S = 15.0
_MOST_BYTES = 65536
_JSON = "application/json"


class NoManager(Exception):
    """Nobody looks after replicas of this group here; the message says what to do."""


class Control:
    """Lets others on this machine tell a manager what to do.

    Args:
        manager: that is told.

    Attributes:
        address: how it is asked.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._listener = Listener("127.0.0.1", 0, _only_post, self._post, _MOST_BYTES)
        port = int(self._listener.server_address[1])
        self.address = Address(os.getpid(), port, secrets.token_urlsafe(32))

    def __enter__(self) -> Control:
        """Starts to answer, from a thread of its own."""
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops answering."""
        self._listener.shutdown()
        self._listener.server_close()

    def _post(self, path: str, body: bytes) -> Answer:
        try:
            request = json.loads(body)
            token = request.pop("token")
            if not hmac.compare_digest(token.encode(), self.address.token.encode()):
                return line(403, "that is not the token")
            does = self._commands()[request.pop("do")]
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            return line(400, "that is no command")
        try:
            does(**request)
        except (ReplicaError, PolicyError) as error:
            return line(409, str(error))
        except TypeError:
            return line(400, "the command has other arguments")
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
    """Talks to the manager of a group.

    Args:
        registry: where its address is.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def status(self) -> dict[str, Any]:
        """How things stand; see `Manager.status`.

        Raises:
            NoManager: there is none.
            ReplicaError: it does not answer.
        """
        return self._ask(do="status")

    def scale(self, policy: dict[str, Any]) -> dict[str, Any]:
        """Sets the policy; raises as `status` does, and `ReplicaError` for one that can't be."""
        return self._ask(do="scale", policy=policy)

    def stop(self, name: str) -> dict[str, Any]:
        """Lets a replica leave; raises as `status` does."""
        return self._ask(do="stop", name=name)

    def kill(self, name: str | None) -> dict[str, Any]:
        """Kills a replica, by chance if none is named; raises as `status` does."""
        return self._ask(do="kill", name=name)

    def leave(self) -> int:
        """Lets the manager stop all replicas and leave; returns its process id; raises too."""
        return int(self._ask(do="leave")["pid"])

    def _ask(self, **request: Any) -> dict[str, Any]:
        address = self._registry.address()
        if address is None:
            raise NoManager("no replicas are managed here; start some: python -m kafka.replicas up")
        body = json.dumps({"token": address.token, **request})
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=_WITHIN_S)
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


def _only_post(path: str) -> Answer:
    return line(405, "commands are posted", allow="POST")
