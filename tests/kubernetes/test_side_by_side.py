"""A canary, a shadow, a graph, and requests without Kafka, on a real Kubernetes."""

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
from tests.kubernetes.conftest import NewNamespace, make_topics
from tests.kubernetes.overlays import Overlay, replicas
from tests.kubernetes.stream_namespace import StreamNamespace, name
from tests.kubernetes.traffic import Run
from tests.support.stream import wait_until

pytestmark = [pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(600)]

IMAGES = load_samples().images[:3]
RATE = 60.0
# After this time in seconds the pods of both predictors are ready.
AHEAD_S = 25.0


def share(predictor: int, value: str) -> dict[str, object]:
    """Returns a patch of a predictor's share, which is the variable after the worker's id."""
    path = f"/spec/predictors/{predictor}/componentSpecs/0/spec/containers/0/env/1"
    return {"op": "replace", "path": f"{path}/value", "value": value}


def test_a_canary_answers_its_share_of_keys_and_no_message_is_lost_or_doubled(
    new_namespace: NewNamespace,
) -> None:
    namespace = new_namespace("native")
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=AHEAD_S)
    time_text = at.isoformat(timespec="seconds")
    namespace.deploy(
        Overlay(
            "native-canary",
            namespace.variant,
            patches=[
                replicas(1),
                share(0, f"0-100,{time_text}=0-70"),
                share(1, f"0-0,{time_text}=70-100"),
            ],
        )
    )
    run = Run(namespace.variant, int(RATE * 2 * AHEAD_S), RATE).start()
    namespace.await_ready(2)
    verdict = run.finish_sending().judge(60)
    assert (verdict.lost, verdict.doubled, verdict.out_of_order) == (0, 0, 0)
    canary = sum(count for model, count in verdict.models.items() if "baseline" in model)
    assert 0.1 < canary / verdict.sent < 0.2, verdict.models
    # A drain can evict pods of both: there is one budget, and it allows one eviction.
    (pod,) = [name(each) for each in namespace.pods() if "-canary-" in name(each)]
    namespace.evict(pod)
    wait_until(lambda: pod not in map(name, namespace.pods()), 60, "it is gone")
    namespace.await_ready(2)


def test_a_shadow_answers_all_messages_again_to_its_own_topics(new_namespace: NewNamespace) -> None:
    namespace = new_namespace("native")
    topics = {
        "KAFKA_OUTPUT_TOPIC": "model_shadow",
        "KAFKA_DEAD_LETTER_TOPIC": "model_shadow.dead",
    }
    shadow = replace(namespace.variant, environ={**namespace.variant.environ, **topics})
    make_topics(AdminClient(namespace.variant.client), shadow)
    namespace.deploy(Overlay("native-shadow", namespace.variant, patches=[replicas(1)]))
    namespace.await_ready(2)
    served = Run(namespace.variant, 300, RATE)
    # It sends to the same topic, and judges the answers of the shadow.
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
    new_namespace: NewNamespace,
) -> None:
    namespace = new_namespace("executor")
    namespace.deploy(Overlay("executor-graph", namespace.variant, patches=[replicas(1)]))
    namespace.await_ready(1)
    verdict = Run(namespace.variant, 100, RATE).start().finish_sending().judge(60)
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert list(verdict.models) != [""]


def address(namespace: StreamNamespace, service: str) -> str:
    """Returns the address of a Service, which this machine reaches as the node."""
    found = json.loads(namespace.kubectl("get", "service", service, "-o", "json"))
    return str(found["spec"]["clusterIP"])


def post(url: str, value: bytes) -> bytes:
    """Returns the answer to a POST of JSON."""
    request = urllib.request.Request(url, value, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return bytes(reply.read())


def test_services_lead_to_rest_grpc_and_v2(new_namespace: NewNamespace) -> None:
    namespace = new_namespace("native")
    namespace.deploy(Overlay("native-ingress", namespace.variant, patches=[replicas(1)]))
    namespace.await_ready(1)
    time.sleep(1)  # until the node's network rules include the pod
    rest, v2 = address(namespace, "kmnist-default"), address(namespace, "kmnist-v2")
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
