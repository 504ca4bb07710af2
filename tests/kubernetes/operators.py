"""Starts Seldon's operator, KEDA and metrics-server outside the rig's cluster.

Their settings are those of their charts, except that they run on the host, at its address.
"""

from __future__ import annotations

import json
from typing import Any

from tests.kubernetes.rig import HOST, KEDA_NAMESPACE, OPERATOR_NAMESPACE, Rig
from tests.support.stream import wait_until

EXECUTOR_IMAGE = "seldonio/seldon-core-executor:1.17.1"
_WEBHOOK_PORT = 4443
_ADAPTER_PORT = 6444
_METRICS_PORT = 4444
_READY_S = 60


def namespace_manifest(name: str) -> dict[str, Any]:
    """Returns the manifest of a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def start_seldon(rig: Rig) -> None:
    """Starts Seldon's operator with its webhook, and with support for `kedaSpec`."""
    rig.define("seldon-core-*.json")
    rig.apply(namespace_manifest(OPERATOR_NAMESPACE), _seldon_config())
    certificate, key = rig.certificate("webhook", f"IP:{HOST},IP:127.0.0.1")
    # The folder in which controller-runtime expects certificates.
    folder = rig.home / "tmp" / "k8s-webhook-server" / "serving-certs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tls.crt").write_bytes(certificate.read_bytes())
    (folder / "tls.key").write_bytes(key.read_bytes())
    rig.start(
        "seldon-operator",
        "--metrics-addr=127.0.0.1:18080",
        f"--webhook-port={_WEBHOOK_PORT}",
        f"--operator-namespace={OPERATOR_NAMESPACE}",
        TMPDIR=str(rig.home / "tmp"),
        POD_NAMESPACE=OPERATOR_NAMESPACE,
        WATCH_NAMESPACE="",
        MANAGER_CREATE_RESOURCES="false",
        MANAGER_LOG_LEVEL="INFO",
        KEDA_ENABLED="true",
        USE_EXECUTOR="true",
        EXECUTOR_CONTAINER_IMAGE_AND_VERSION=EXECUTOR_IMAGE,
        EXECUTOR_CONTAINER_IMAGE_PULL_POLICY="IfNotPresent",
        EXECUTOR_PROMETHEUS_PATH="/prometheus",
        EXECUTOR_SERVER_PORT="8000",
        EXECUTOR_CONTAINER_USER="8888",
        EXECUTOR_CONTAINER_SERVICE_ACCOUNT_NAME="default",
        EXECUTOR_SERVER_METRICS_PORT_NAME="metrics",
        EXECUTOR_REQUEST_LOGGER_DEFAULT_ENDPOINT="http://default-broker",
        EXECUTOR_REQUEST_LOGGER_WORK_QUEUE_SIZE="10000",
        EXECUTOR_REQUEST_LOGGER_WRITE_TIMEOUT_MS="2000",
        EXECUTOR_DEFAULT_CPU_REQUEST="500m",
        EXECUTOR_DEFAULT_CPU_LIMIT="500m",
        EXECUTOR_DEFAULT_MEMORY_REQUEST="512Mi",
        EXECUTOR_DEFAULT_MEMORY_LIMIT="512Mi",
        DEFAULT_USER_ID="8888",
        PREDICTIVE_UNIT_HTTP_SERVICE_PORT="9000",
        PREDICTIVE_UNIT_GRPC_SERVICE_PORT="9500",
        PREDICTIVE_UNIT_METRICS_PORT_NAME="metrics",
        ISTIO_ENABLED="false",
        AMBASSADOR_ENABLED="false",
    )
    rig.apply(_webhook(rig))


def start_metrics_server(rig: Rig) -> None:
    """Starts metrics-server, from which the HPA reads processor time."""
    rig.apply(*_api_service(rig, "v1beta1.metrics.k8s.io", "kube-system", "metrics", _METRICS_PORT))
    kubeconfig = str(rig.kubeconfig)
    certificate, key = rig.certificate("metrics", f"IP:{HOST}")
    rig.start(
        "metrics-server",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--secure-port={_METRICS_PORT}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--kubelet-certificate-authority={rig.home / 'pki' / 'ca.crt'}",
        f"--kubelet-client-certificate={rig.home / 'pki' / 'admin.crt'}",
        f"--kubelet-client-key={rig.home / 'pki' / 'admin.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--metric-resolution=10s",
        "--kubelet-request-timeout=5s",
    )
    wait_until(
        lambda: rig.try_kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1").returncode == 0,
        _READY_S,
        "metrics-server answers",
    )


def start_keda(rig: Rig) -> None:
    """Starts KEDA's operator and its metrics adapter."""
    rig.define("keda-*.yaml", "keda.sh_*.yaml", "eventing.keda.sh_*.yaml")
    rig.apply(namespace_manifest(KEDA_NAMESPACE))
    certificate, key = rig.certificate("keda", f"IP:{HOST},IP:127.0.0.1,DNS:localhost")
    folder = rig.home / "keda-certs"
    folder.mkdir(exist_ok=True)
    (folder / "tls.crt").write_bytes(certificate.read_bytes())
    (folder / "tls.key").write_bytes(key.read_bytes())
    (folder / "ca.crt").write_bytes((rig.home / "pki" / "ca.crt").read_bytes())
    common = {
        "POD_NAMESPACE": KEDA_NAMESPACE,
        "POD_NAME": "keda-operator",
        "OPERATOR_NAME": "keda-operator",
        "KEDA_CLUSTER_OBJECT_NAMESPACE": KEDA_NAMESPACE,
        "WATCH_NAMESPACE": "",
    }
    rig.start(
        "keda",
        "--metrics-bind-address=127.0.0.1:18081",
        "--health-probe-bind-address=127.0.0.1:18082",
        "--metrics-service-bind-address=127.0.0.1:9666",
        f"--cert-dir={folder}",
        "--enable-cert-rotation=false",
        **common,
    )
    rig.apply(
        *_api_service(
            rig, "v1beta1.external.metrics.k8s.io", KEDA_NAMESPACE, "keda-metrics", _ADAPTER_PORT
        )
    )
    kubeconfig = str(rig.kubeconfig)
    rig.start(
        "keda-adapter",
        f"--lister-kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--secure-port={_ADAPTER_PORT}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        "--metrics-service-address=127.0.0.1:9666",
        f"--cert-dir={folder}",
        "--port=18083",
        **common,
    )
    wait_until(
        lambda: (
            rig.try_kubectl("get", "--raw", "/apis/external.metrics.k8s.io/v1beta1").returncode == 0
        ),
        _READY_S,
        "KEDA's metrics adapter answers",
    )


def _seldon_config() -> dict[str, Any]:
    """Returns the operator's ConfigMap, which it needs even without prepackaged servers."""
    servers: dict[str, Any] = {
        name: {"protocols": {}} for name in ("TENSORFLOW_SERVER", "TRITON_SERVER")
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "seldon-config", "namespace": OPERATOR_NAMESPACE},
        "data": {
            "predictor_servers": json.dumps(servers),
            "storageInitializer": json.dumps({"image": "none"}),
            "explainer": json.dumps({"image": "none"}),
            "credentials": json.dumps({}),
        },
    }


def _webhook(rig: Rig) -> dict[str, Any]:
    path = "/validate-machinelearning-seldon-io-v1-seldondeployment"
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "seldon-validating-webhook-configuration"},
        "webhooks": [
            {
                "name": "v1.vseldondeployment.kb.io",
                "admissionReviewVersions": ["v1", "v1beta1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{_WEBHOOK_PORT}{path}",
                    "caBundle": rig.authority(),
                },
                "rules": [
                    {
                        "apiGroups": ["machinelearning.seldon.io"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["seldondeployments"],
                    }
                ],
            }
        ],
    }


def _api_service(
    rig: Rig, name: str, service_namespace: str, service: str, port: int
) -> tuple[dict[str, Any], ...]:
    """Returns the manifests of an API that a process on the host serves, through a Service."""
    version, _, group = name.partition(".")
    metadata = {"name": service, "namespace": service_namespace}
    return (
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                # The certificate names the host's address instead of the Service.
                "insecureSkipTLSVerify": True,
                "service": {"name": service, "namespace": service_namespace, "port": 443},
            },
        },
    )
