"""Errors on the way to a cluster are one line with the remedy, without secrets."""

from __future__ import annotations

import json
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes.config import incluster_config

from consumer.dashboard.fleet import BY_HAND, FleetError, Scaling
from consumer.dashboard.kubernetes import KubernetesBackend
from kafka.cluster.certificates import make_authority
from tests.support.kubernetes_api import Answer
from tests.support.kubernetes_cluster import NAME, NAMESPACE
from tests.support.kubernetes_documents import TOKEN, kubeconfig
from tests.support.kubernetes_rig import Rig, Start, in_base64, run
from tests.support.patience import promised

SECRET = "s3cret-of-the-user"
PODS = "/api/v1/namespaces/seldon/pods"
MANIFEST = "/apis/machinelearning.seldon.io/v1/namespaces/seldon/seldondeployments/kmnist"
SELDON = "seldondeployments.machinelearning.seldon.io"
ALL_RIGHTS = {
    "delete pods",
    "get pods/proxy",
    f"get {SELDON}",
    "list deployments.apps",
    "list pods",
    "list pods.metrics.k8s.io",
    f"patch {SELDON}",
}


def error_of(operation: Callable[[], object]) -> str:
    """Returns the message of a FleetError, and checks that it is one line without secrets."""
    with pytest.raises(FleetError) as raised:
        operation()
    shown = "".join(traceback.format_exception(raised.value))
    assert TOKEN not in shown
    assert SECRET not in shown
    message = str(raised.value)
    assert "\n" not in message
    return message


def snapshot_error(backend: KubernetesBackend) -> str:
    try:
        return error_of(backend.snapshot)
    finally:
        backend.close()


def test_a_wrong_token_is_an_error_with_a_remedy(rig: Rig) -> None:
    kubeconfig(rig.folder, rig.api.url, token="wrong")
    message = snapshot_error(KubernetesBackend(NAMESPACE, NAME))
    assert message == (
        f"{rig.api.url} does not accept the credentials (401): "
        "log in again, or correct the user in the kubeconfig"
    )


@pytest.mark.parametrize("right", ["list pods", "list deployments.apps", f"get {SELDON}"])
def test_a_missing_right_to_read_is_named(rig: Rig, right: str) -> None:
    rig.api.forbidden = {right}
    message = error_of(rig.backend.snapshot)
    assert message.startswith(
        f"the right to {right.partition('.')[0]} is missing, a Role must grant it (403: "
    )
    assert 'User "system:serviceaccount:seldon:dashboard" cannot' in message


def test_a_missing_right_to_act_is_named(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    rig.api.forbidden = {"delete pods", f"patch {SELDON}", "get pods/proxy"}
    status, message = run(rig.backend.kill(pod.name))
    assert (status, message.startswith("the right to delete pods is missing")) == (1, True)
    status, message = run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 1, 0)))
    assert (status, message.startswith("the right to patch seldondeployments is missing")) == (
        1,
        True,
    )
    assert error_of(lambda: rig.backend.fetch(pod, "/status")).startswith(
        "the right to get pods/proxy is missing"
    )
    assert pod.name in [each.name for each in rig.await_ready(2)], "no pod was ended"


def test_the_backend_needs_exactly_these_rights(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    error_of(lambda: rig.backend.fetch(pod, "/status"))
    for action in (rig.backend.stop(pod.name), rig.backend.scale(Scaling(BY_HAND, 0, 0, 3, 0))):
        assert run(action)[0] == 0
    run(rig.backend.kill_random())
    assert rig.api.used == ALL_RIGHTS


def test_without_the_right_to_metrics_only_memory_is_unknown(rig: Rig) -> None:
    rig.api.forbidden = {"list pods.metrics.k8s.io"}
    assert [each.memory_bytes for each in rig.await_ready(2)] == [None, None]


def test_the_message_of_an_admission_webhook_is_shown(rig: Rig) -> None:
    message = 'admission webhook "v1.vseldondeployment.kb.io" denied the request: no graph'
    body = json.dumps({"kind": "Status", "message": message})
    rig.api.overrides[f"PATCH {MANIFEST}"] = Answer(403, body.encode())
    status, output = run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 1, 0)))
    assert status == 1
    assert output == f"{rig.api.url} refuses to patch seldondeployments (403: {message})"


def test_a_missing_deployment_is_named(rig: Rig) -> None:
    message = snapshot_error(KubernetesBackend(NAMESPACE, "other"))
    assert message.startswith(
        f"there is no SeldonDeployment seldon/other on {rig.api.url}; see `kube"
    )


def test_a_refused_connection_names_the_address(rig: Rig) -> None:
    message = snapshot_error(KubernetesBackend(NAMESPACE, NAME, "nowhere"))
    assert message == "no connection to http://127.0.0.1:9: [Errno 111] Connection refused"


def test_a_hanging_server_is_an_error_within_seconds(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        kubeconfig(rig.folder, server)
        started_s = time.monotonic()
        message = snapshot_error(KubernetesBackend(NAMESPACE, NAME))
    assert message == f"no connection to {server}: it does not answer in time"
    assert time.monotonic() - started_s < promised(8)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>Log in</html>", "text/html"),
        Answer(200, b"[]"),
        Answer(200, b"{}"),
        Answer(200, b"[" * 100_000),
        Answer(200, b""),
    ],
)
def test_another_server_is_no_api_server(rig: Rig, answer: Answer) -> None:
    rig.api.overrides[f"GET {PODS}"] = answer
    message = error_of(rig.backend.snapshot)
    assert message == f"the server at {rig.api.url} is no Kubernetes API server"


def test_the_error_of_a_proxy_is_quoted_in_one_line(rig: Rig) -> None:
    rig.api.overrides[f"GET {PODS}"] = Answer(502, b"bad gateway\n<pre>" + b"x" * 10**6)
    assert (
        error_of(rig.backend.snapshot) == f"{rig.api.url} refuses to list pods (502: bad gateway)"
    )


def test_a_bad_answer_of_a_pod_is_an_error(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    at = f"GET {PODS}/{pod.name}:8080/proxy/status"
    fetch = lambda: rig.backend.fetch(pod, "/status")  # noqa: E731
    assert "error trying to reach service" in error_of(fetch), "the pod has no server"
    rig.api.overrides[at] = Answer(503, b"not ready: no broker")
    assert error_of(fetch) == f"{pod.name}: /status has status 503"
    rig.api.overrides[at] = Answer(200, b"x" * (8 * 2**20 + 1))
    assert error_of(fetch) == f"a response has more than {8 * 2**20} bytes"
    rig.api.overrides[at] = Answer(200, b"x" * (8 * 2**20))
    assert len(rig.backend.fetch(pod, "/status")) == 8 * 2**20


def test_a_redirection_by_a_pod_is_not_followed(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    redirect = (("Location", f"{rig.api.url}/api/v1/namespaces/seldon/secrets"),)
    rig.api.overrides[f"GET {PODS}/{pod.name}:8080/proxy/status"] = Answer(
        302, b"", headers=redirect
    )
    assert error_of(lambda: rig.backend.fetch(pod, "/status")).endswith("/status has status 302")
    assert not [path for _, path, _ in rig.api.requests if "secrets" in path]


def test_a_path_out_of_the_pod_is_refused(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    message = error_of(lambda: rig.backend.fetch(pod, "/../../../secrets"))
    assert message == "/../../../secrets leads out of the pod"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "can't be used: Invalid kube-config."),
        ("just words", "can't be used: it is not a valid kubeconfig"),
        (f"a: b\n  token: {SECRET}", "can't be used: line 2 is no YAML: mapping values"),
        ("kind: Config", "can't be used: Invalid kube-config file. Expected key current-context"),
        (
            "{current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}],"
            " clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}],"
            f" users: [{{name: a, token: {SECRET}}}]}}",
            "Expected key user in",
        ),
        (
            "{current-context: a, contexts: [{name: a, context: {cluster: a}}],"
            " clusters: [{name: a, cluster: {server: 'not a URL'}}]}",
            "begins with https://",
        ),
        (
            "{current-context: a, contexts: [{name: a, context: {cluster: a}}], clusters:"
            " [{name: a, cluster: {server: 'https://a', certificate-authority: /no/such/file}}]}",
            "File does not exist: /no/such/file",
        ),
    ],
)
def test_an_unusable_kubeconfig_is_named_with_the_reason(rig: Rig, text: str, why: str) -> None:
    (rig.folder / "kubeconfig").write_text(text, "utf-8")
    message = error_of(lambda: KubernetesBackend(NAMESPACE, NAME))
    assert message.startswith(f"{rig.folder}/kubeconfig")
    assert why in message


def test_a_missing_context_is_named(rig: Rig) -> None:
    message = error_of(lambda: KubernetesBackend(NAMESPACE, NAME, "absent"))
    assert "Expected object with name absent in" in message


def test_without_a_configuration_the_remedy_is_to_log_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    message = error_of(lambda: KubernetesBackend(NAMESPACE, NAME))
    assert message == (
        "no cluster is configured: ~/.kube/config does not exist; log in to one, or set KUBECONFIG"
    )


@pytest.mark.parametrize(("namespace", "name"), [("..", NAME), (NAMESPACE, "a/b"), ("", NAME)])
def test_an_invalid_name_is_refused(rig: Rig, namespace: str, name: str) -> None:
    assert "is no name" in error_of(lambda: KubernetesBackend(namespace, name))


def test_a_token_that_cannot_be_sent_is_not_shown(rig: Rig) -> None:
    kubeconfig(rig.folder, rig.api.url, token=f"{SECRET}\nX-Other: 1")
    message = snapshot_error(KubernetesBackend(NAMESPACE, NAME))
    assert message == "the token has characters that can't be sent; log in again"


def test_a_password_in_the_servers_address_is_not_shown(rig: Rig) -> None:
    kubeconfig(rig.folder, f"http://me:{SECRET}@127.0.0.1:9")
    backend = KubernetesBackend(NAMESPACE, NAME)
    assert backend.location == "seldon/kmnist on http://127.0.0.1:9"
    assert snapshot_error(backend).startswith("no connection to http://127.0.0.1:9: ")


def test_a_server_with_an_unknown_certificate_is_not_trusted(start: Start) -> None:
    rig = start(authority=make_authority())
    assert rig.backend.snapshot().wanted == 2
    kubeconfig(rig.folder, rig.api.url, certificate_authority_data=in_base64(make_authority()))
    message = snapshot_error(KubernetesBackend(NAMESPACE, NAME))
    assert message.startswith(f"no connection to {rig.api.url}: the connection is not safe: ")
    assert "CERTIFICATE_VERIFY_FAILED" in message
    assert rig.backend.snapshot().wanted == 2


def test_without_certificate_checks_there_is_no_warning(start: Start) -> None:
    rig = start(authority=make_authority())
    kubeconfig(rig.folder, rig.api.url, insecure_skip_tls_verify=True)
    backend = KubernetesBackend(NAMESPACE, NAME)
    assert backend.snapshot().wanted == 2, "a warning would be an error"
    backend.close()


def test_a_pod_uses_its_service_account(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority()
    rig = start(authority=authority)
    files = {"SERVICE_TOKEN_FILENAME": TOKEN, "SERVICE_CERT_FILENAME": authority.certificate}
    for name, content in files.items():
        (rig.folder / name).write_text(content, "ascii")
        monkeypatch.setattr(incluster_config, name, str(rig.folder / name))
    monkeypatch.setenv("HOME", str(rig.folder))
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(rig.api.port))
    backend = KubernetesBackend(NAMESPACE, NAME)
    assert backend.snapshot().wanted == 2
    backend.close()


def test_exceptions_of_the_proxy_are_respected(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    through = KubernetesBackend(NAMESPACE, NAME)
    assert "no connection to" in snapshot_error(through)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    backend = KubernetesBackend(NAMESPACE, NAME)
    assert backend.snapshot().wanted == 2
    backend.close()
