"""A canary, a graph, and the ways in beside Kafka, on a real Kubernetes."""

from __future__ import annotations

import datetime
import json
import time
import urllib.request
from dataclasses import replace

import grpc
import pytest
from confluent_kafka.admin import AdminClient
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc

from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from tests.kubernetes.conftest import NewPlace, make_topics
from tests.kubernetes.overlays import Overlay, replicas
from tests.kubernetes.place import Place, name
from tests.kubernetes.traffic import Run
from tests.support.stream import wait_until

pytestmark = [pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(600)]

IMAGES = load_samples().images[:3]
RATE = 60.0
# So long from now on pods of both predictors are there for sure.
AHEAD_S = 25.0


def share(predictor: int, value: str) -> dict[str, object]:
    """A patch of a predictor's share: the variable after the worker's id."""
    place = f"/spec/predictors/{predictor}/componentSpecs/0/spec/containers/0/env/1"
    return {"op": "replace", "path": f"{place}/value", "value": value}


def test_a_canary_takes_its_share_of_keys_from_a_time_on_and_nothing_is_lost_or_doubled(
    new_place: NewPlace,
) -> None:
    place = new_place("native")
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=AHEAD_S)
    time_text = at.isoformat(timespec="seconds")
    place.deploy(
        Overlay(
            "native-canary",
            place.variant,
            patches=[
                replicas(1),
                share(0, f"0-100,{time_text}=0-70"),
                share(1, f"0-0,{time_text}=70-100"),
            ],
        )
    )
    run = Run(place.variant, int(RATE * 2 * AHEAD_S), RATE).start()
    place.await_ready(2)
    verdict = run.finish_sending().judge(60)
    assert (verdict.lost, verdict.doubled, verdict.out_of_order) == (0, 0, 0)
    canary = sum(count for model, count in verdict.models.items() if "baseline" in model)
    assert 0.1 < canary / verdict.sent < 0.2, verdict.models
    # A drain can take pods of both: there is one budget, and it allows one.
    (pod,) = [name(each) for each in place.pods() if "-canary-" in name(each)]
    place.evict(pod)
    wait_until(lambda: pod not in map(name, place.pods()), 60, "it is gone")
    place.await_ready(2)


def test_a_shadow_answers_all_once_more_where_nobody_is_served_by_it(new_place: NewPlace) -> None:
    place = new_place("native")
    topics = {
        "KAFKA_OUTPUT_TOPIC": "model_shadow",
        "KAFKA_DEAD_LETTER_TOPIC": "model_shadow.dead",
    }
    shadow = replace(place.variant, environ={**place.variant.environ, **topics})
    make_topics(AdminClient(place.variant.client), shadow)
    place.deploy(Overlay("native-shadow", place.variant, patches=[replicas(1)]))
    place.await_ready(2)
    served = Run(place.variant, 300, RATE)
    # The same topic, but what the shadow answers to it is judged.
    mirrored = Run(shadow, 300, RATE)
    served.start()
    mirrored.start()
    verdict = served.finish_sending().judge(60)
    assert verdict.promises_kept
    assert not [model for model in verdict.models if "baseline" in model]
    verdict = mirrored.finish_sending().judge(60)
    assert (verdict.lost, verdict.doubled, verdict.out_of_order) == (0, 0, 0)
    assert all("baseline" in model for model in verdict.models)


def test_a_graph_behind_the_executor_answers_with_the_tags_of_both_nodes(
    new_place: NewPlace,
) -> None:
    place = new_place("executor")
    place.deploy(Overlay("executor-graph", place.variant, patches=[replicas(1)]))
    place.await_ready(1)
    verdict = Run(place.variant, 100, RATE).start().finish_sending().judge(60)
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert list(verdict.models) != [""]


def address(place: Place, service: str) -> str:
    """A Service's address, which this machine, the node, reaches."""
    found = json.loads(place.kubectl("get", "service", service, "-o", "json"))
    return str(found["spec"]["clusterIP"])


def post(url: str, value: bytes) -> bytes:
    """What a POST of JSON is answered with."""
    request = urllib.request.Request(url, value, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return bytes(reply.read())


def test_services_lead_to_rest_grpc_and_v2(new_place: NewPlace) -> None:
    place = new_place("native")
    place.deploy(Overlay("native-ingress", place.variant, patches=[replicas(1)]))
    place.await_ready(1)
    time.sleep(1)  # until the node's rules lead to the pod
    rest, v2 = address(place, "kmnist-default"), address(place, "kmnist-v2")
    value = encode(FORMATS["ndarray"], IMAGES)
    rows = json.loads(post(f"http://{rest}:9000/api/v1.0/predictions", value))["data"]["ndarray"]
    assert len(rows) == len(IMAGES)

    models = json.loads(post(f"http://{v2}:8080/v2/models/classifier/infer",
                             encode(FORMATS["v2"], IMAGES)))  # fmt: skip
    assert models["outputs"][0]["shape"] == [len(IMAGES), 10]

    request = prediction_pb2.SeldonMessage.FromString(encode(FORMATS["protobuf"], IMAGES))
    with grpc.insecure_channel(f"{rest}:9500") as channel:
        reply = prediction_pb2_grpc.SeldonStub(channel).Predict(request, timeout=20)
    assert list(reply.data.tensor.shape) == [len(IMAGES), 10]
