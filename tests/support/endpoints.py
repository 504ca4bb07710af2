"""What a replica answers on its ports, wherever it runs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc

from tests.support.patience import patient


class Endpoints:
    """The ports of one replica.

    Args:
        host: its address.
        rest: the port of Seldon's REST server.
        grpc: the port of Seldon's gRPC server.
        http: the port of the supervisor.
    """

    def __init__(self, host: str, rest: int, grpc: int, http: int) -> None:
        self.host, self.rest, self.grpc, self.http = host, rest, grpc, http

    def is_ready(self) -> bool:
        """Whether `/ready` says so."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.http}/ready", timeout=5):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False

    def over_rest(self, value: bytes) -> NDArray[Any]:
        """The probabilities for a message of one of the JSON formats."""
        request = urllib.request.Request(
            f"http://{self.host}:{self.rest}/predict",
            data=value,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=patient(20)) as reply:
            return rows_of_json(reply.read())

    def over_grpc(self, value: bytes) -> NDArray[Any]:
        """The probabilities for a serialised `SeldonMessage`."""
        request = prediction_pb2.SeldonMessage.FromString(value)
        with grpc.insecure_channel(f"{self.host}:{self.grpc}") as channel:
            reply = prediction_pb2_grpc.SeldonStub(channel).Predict(request, timeout=patient(20))
        return _rows_of_message(reply)


def rows_of_json(value: bytes) -> NDArray[Any]:
    """The rows of a reply in any of the JSON formats."""
    reply = json.loads(value)
    if "predictions" in reply:
        return np.array(reply["predictions"])
    if "outputs" in reply:
        tensor = reply["outputs"][0]
        return np.reshape(tensor["data"], tensor["shape"])
    if "ndarray" in reply["data"]:
        return np.array(reply["data"]["ndarray"])
    tensor = reply["data"]["tensor"]
    return np.reshape(tensor["values"], tensor["shape"])


def rows_of_protobuf(value: bytes) -> NDArray[Any]:
    """The rows of a reply that is a serialised `SeldonMessage`."""
    return _rows_of_message(prediction_pb2.SeldonMessage.FromString(value))


def _rows_of_message(message: Any) -> NDArray[Any]:
    return np.reshape(message.data.tensor.values, message.data.tensor.shape)
