"""Sends images over REST; each user that Locust starts sends one image after another.

    locust -f bench/rest/locustfile.py --host http://localhost:9000
    locust -f bench/rest/locustfile.py --host http://localhost:8080 --tags v2
    locust -f bench/rest/locustfile.py --host https://kmnist.example.com --headless -u 8 -t 30s

Behind Istio's gateway the host is https://HOST/seldon/NAMESPACE/kmnist.
"""

from __future__ import annotations

import os
import random

from locust import HttpUser, constant, tag, task

_SIDE = 28
_MODEL = os.environ.get("V2_MODEL", "classifier")


def _image() -> list[list[int]]:
    """Returns noise, which is classified as fast as any other image."""
    return [[random.randint(0, 255) for _ in range(_SIDE)] for _ in range(_SIDE)]


_SELDON = [{"data": {"ndarray": [_image()]}} for _ in range(50)]
_V2 = [
    {"inputs": [{"name": "x", "shape": [1, _SIDE, _SIDE], "datatype": "UINT8", "data": image}]}
    for image in ([pixel for row in _image() for pixel in row] for _ in range(50))
]


class Sender(HttpUser):
    """Sends the next request after each reply."""

    wait_time = constant(0)

    @tag("seldon")
    @task
    def predict(self) -> None:
        """Sends Seldon JSON to Seldon's path."""
        self.client.post("/api/v1.0/predictions", json=random.choice(_SELDON))

    @tag("v2")
    @task
    def infer(self) -> None:
        """Sends Open Inference (V2) JSON to its path, which only the supervisor's port has."""
        path = f"/v2/models/{_MODEL}/infer"
        self.client.post(path, json=random.choice(_V2), name="/v2/…/infer")
