"""What goes wrong on the way to a cluster, said in one line that tells what to do."""

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
from tests.consumer.kubernetes_api import Answer
from tests.consumer.kubernetes_cluster import NAME, NAMESPACE
from tests.consumer.kubernetes_documents import TOKEN, kubeconfig
from tests.consumer.kubernetes_rig import Rig, Start, in_base64, run
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


def trouble(does: Callable[[], object]) -> str:
    """The one line that somebody reads, who is to see no secret."""
    with pytest.raises(FleetError) as raised:
        does()
    shown = "".join(traceback.format_exception(raised.value))
    assert TOKEN not in shown
    assert SECRET not in shown
    said = str(raised.value)
    assert "\n" not in said
    return said


def trouble_of(backend: KubernetesBackend) -> str:
    try:
        return trouble(backend.look)
    finally:
        backend.close()


def test_a_wrong_token_says_who_must_log_in(rig: Rig) -> None:
    kubeconfig(rig.folder, rig.api.url, token="wrong")
    said = trouble_of(KubernetesBackend(NAMESPACE, NAME))
    assert said == (
        f"{rig.api.url} does not know who asks (401): "
        "log in again, or mend the user in the kubeconfig"
    )


@pytest.mark.parametrize("right", ["list pods", "list deployments.apps", f"get {SELDON}"])
def test_a_right_that_is_missing_is_named(rig: Rig, right: str) -> None:
    rig.api.forbidden = {right}
    said = trouble(rig.backend.look)
    assert said.startswith(
        f"the right to {right.partition('.')[0]} is missing, a Role must grant it (403: "
    )
    assert 'User "system:serviceaccount:seldon:dashboard" cannot' in said


def test_a_right_to_act_that_is_missing_is_named(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    rig.api.forbidden = {"delete pods", f"patch {SELDON}", "get pods/proxy"}
    status, said = run(rig.backend.kill(pod.name))
    assert (status, said.startswith("the right to delete pods is missing")) == (1, True)
    status, said = run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 1, 0)))
    assert (status, said.startswith("the right to patch seldondeployments is missing")) == (1, True)
    assert trouble(lambda: rig.backend.fetch(pod, "/status")).startswith(
        "the right to get pods/proxy is missing"
    )
    assert pod.name in [each.name for each in rig.await_ready(2)], "nobody was ended"


def test_it_needs_these_rights_and_no_other(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    trouble(lambda: rig.backend.fetch(pod, "/status"))
    for action in (rig.backend.stop(pod.name), rig.backend.scale(Scaling(BY_HAND, 0, 0, 3, 0))):
        assert run(action)[0] == 0
    run(rig.backend.kill_random())
    assert rig.api.used == ALL_RIGHTS


def test_without_the_right_to_metrics_only_memory_is_missing(rig: Rig) -> None:
    rig.api.forbidden = {"list pods.metrics.k8s.io"}
    assert [each.memory_bytes for each in rig.await_ready(2)] == [None, None]


def test_what_an_admission_webhook_says_is_passed_on(rig: Rig) -> None:
    said = 'admission webhook "v1.vseldondeployment.kb.io" denied the request: no graph'
    body = json.dumps({"kind": "Status", "message": said})
    rig.api.overrides[f"PATCH {MANIFEST}"] = Answer(403, body.encode())
    status, heard = run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 1, 0)))
    assert status == 1
    assert heard == f"{rig.api.url} refuses to patch seldondeployments (403: {said})"


def test_a_deployment_that_is_not_there_is_named(rig: Rig) -> None:
    said = trouble_of(KubernetesBackend(NAMESPACE, "other"))
    assert said.startswith(f"there is no SeldonDeployment seldon/other on {rig.api.url}; see `kube")


def test_nobody_who_answers_is_said_with_the_address(rig: Rig) -> None:
    said = trouble_of(KubernetesBackend(NAMESPACE, NAME, "nowhere"))
    assert said == "http://127.0.0.1:9 can't be asked: [Errno 111] Connection refused"


def test_a_server_that_hangs_is_waited_for_only_a_few_seconds(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        kubeconfig(rig.folder, server)
        begun_s = time.monotonic()
        said = trouble_of(KubernetesBackend(NAMESPACE, NAME))
    assert said == f"{server} can't be asked: it does not answer in time"
    assert time.monotonic() - begun_s < promised(8)


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
def test_what_is_no_api_server_is_told_so(rig: Rig, answer: Answer) -> None:
    rig.api.overrides[f"GET {PODS}"] = answer
    said = trouble(rig.backend.look)
    assert said == f"what answers on {rig.api.url} is no Kubernetes API server"


def test_a_proxy_in_between_that_fails_is_quoted_in_one_line(rig: Rig) -> None:
    rig.api.overrides[f"GET {PODS}"] = Answer(502, b"bad gateway\n<pre>" + b"x" * 10**6)
    assert trouble(rig.backend.look) == f"{rig.api.url} refuses to list pods (502: bad gateway)"


def test_a_pod_that_answers_badly_is_named(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    at = f"GET {PODS}/{pod.name}:8080/proxy/status"
    fetch = lambda: rig.backend.fetch(pod, "/status")  # noqa: E731
    assert "error trying to reach service" in trouble(fetch), "nobody listens in the pod"
    rig.api.overrides[at] = Answer(503, b"not ready: no broker")
    assert trouble(fetch) == f"{pod.name}: /status says 503"
    rig.api.overrides[at] = Answer(200, b"x" * (8 * 2**20 + 1))
    assert trouble(fetch) == f"an answer has more than {8 * 2**20} bytes"
    rig.api.overrides[at] = Answer(200, b"x" * (8 * 2**20))
    assert len(rig.backend.fetch(pod, "/status")) == 8 * 2**20


def test_a_pod_cannot_send_us_to_another_place_with_our_rights(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    leads = (("Location", f"{rig.api.url}/api/v1/namespaces/seldon/secrets"),)
    rig.api.overrides[f"GET {PODS}/{pod.name}:8080/proxy/status"] = Answer(302, b"", headers=leads)
    assert trouble(lambda: rig.backend.fetch(pod, "/status")).endswith("/status says 302")
    assert not [path for _, path, _ in rig.api.requests if "secrets" in path]


def test_a_path_that_leads_out_of_the_pod_is_not_asked_for(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    said = trouble(lambda: rig.backend.fetch(pod, "/../../../secrets"))
    assert said == "/../../../secrets leads out of the pod"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "can't be used: Invalid kube-config."),
        ("just words", "can't be used: it is no kubeconfig, or a damaged one"),
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
def test_a_kubeconfig_that_cannot_be_used_is_named_with_the_reason(
    rig: Rig, text: str, why: str
) -> None:
    (rig.folder / "kubeconfig").write_text(text, "utf-8")
    said = trouble(lambda: KubernetesBackend(NAMESPACE, NAME))
    assert said.startswith(f"{rig.folder}/kubeconfig")
    assert why in said


def test_a_context_that_is_not_there_is_named(rig: Rig) -> None:
    said = trouble(lambda: KubernetesBackend(NAMESPACE, NAME, "absent"))
    assert "Expected object with name absent in" in said


def test_without_any_configuration_one_is_told_to_log_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    said = trouble(lambda: KubernetesBackend(NAMESPACE, NAME))
    assert said == (
        "no cluster is known: there is no ~/.kube/config; log in to one, or set KUBECONFIG"
    )


@pytest.mark.parametrize(("namespace", "name"), [("..", NAME), (NAMESPACE, "a/b"), ("", NAME)])
def test_a_name_that_none_can_have_is_refused(rig: Rig, namespace: str, name: str) -> None:
    assert "is no name" in trouble(lambda: KubernetesBackend(namespace, name))


def test_a_token_that_cannot_be_sent_is_not_shown(rig: Rig) -> None:
    kubeconfig(rig.folder, rig.api.url, token=f"{SECRET}\nX-Other: 1")
    said = trouble_of(KubernetesBackend(NAMESPACE, NAME))
    assert said == "the token has characters that can't be sent; log in again"


def test_a_password_in_the_servers_address_is_not_shown(rig: Rig) -> None:
    kubeconfig(rig.folder, f"http://me:{SECRET}@127.0.0.1:9")
    backend = KubernetesBackend(NAMESPACE, NAME)
    assert backend.place == "seldon/kmnist on http://127.0.0.1:9"
    assert trouble_of(backend).startswith("http://127.0.0.1:9 can't be asked")


def test_a_server_that_nobody_vouches_for_is_not_trusted(start: Start) -> None:
    rig = start(authority=make_authority())
    assert rig.backend.look().wanted == 2
    kubeconfig(rig.folder, rig.api.url, certificate_authority_data=in_base64(make_authority()))
    said = trouble_of(KubernetesBackend(NAMESPACE, NAME))
    assert said.startswith(f"{rig.api.url} can't be asked: the connection is not safe: ")
    assert "CERTIFICATE_VERIFY_FAILED" in said
    assert rig.backend.look().wanted == 2


def test_whoever_wants_no_check_gets_no_warning_either(start: Start) -> None:
    rig = start(authority=make_authority())
    kubeconfig(rig.folder, rig.api.url, insecure_skip_tls_verify=True)
    backend = KubernetesBackend(NAMESPACE, NAME)
    assert backend.look().wanted == 2, "and a warning would be an error"
    backend.close()


def test_in_a_pod_the_service_account_is_used(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert backend.look().wanted == 2
    backend.close()


def test_a_proxy_is_not_asked_for_what_it_is_not_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    through = KubernetesBackend(NAMESPACE, NAME)
    assert "can't be asked" in trouble_of(through)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    backend = KubernetesBackend(NAMESPACE, NAME)
    assert backend.look().wanted == 2
    backend.close()
