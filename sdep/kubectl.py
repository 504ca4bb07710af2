"""Runs kubectl, and explains its errors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

_KUBECTL_S = 60  # time limit of a command


class DeployError(Exception):
    """An error that the user can correct; the message says how."""


class Kubectl:
    """Runs kubectl in one context.

    Args:
        context: context of the kubeconfig; None uses the current context.

    Raises:
        DeployError: kubectl is not installed.
    """

    def __init__(self, context: str | None = None) -> None:
        if shutil.which("kubectl") is None:
            raise DeployError("kubectl is not installed; install it, and set KUBECONFIG")
        self._command = ["kubectl", *(["--context", context] if context else [])]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Returns the output of a kubectl command.

        Raises:
            DeployError: the command failed, or takes more than `_KUBECTL_S` seconds.
        """
        ran = self._try(arguments, stdin)
        if ran.returncode != 0:
            raise DeployError(_explain(ran.stderr.strip()))
        return ran.stdout

    def get(self, *arguments: str) -> Any:
        """Returns the object or list of `kubectl get`, or None if the object does not exist.

        Raises:
            DeployError: the command failed, or takes more than `_KUBECTL_S` seconds.
        """
        ran = self._try(("get", *arguments, "-o", "json", "--ignore-not-found"), None)
        if ran.returncode != 0:
            raise DeployError(_explain(ran.stderr.strip()))
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    def list(self, *arguments: str) -> list[dict[str, Any]]:
        """Returns the objects of a list from `kubectl get`, which may be empty.

        Raises:
            DeployError: the command failed, or takes more than `_KUBECTL_S` seconds.
        """
        return list((self.get(*arguments) or {"items": []})["items"])

    def await_rollout(self, name: str, space: str, timeout_s: float) -> None:
        """Waits until a Deployment is rolled out, and prints the progress.

        Raises:
            DeployError: the Deployment is not rolled out in time, or kubectl reports another error.
        """
        sys.stdout.flush()
        # For kubectl a timeout of zero means no limit, so the shortest timeout is one second.
        limit = f"--timeout={max(1, round(timeout_s))}s"
        ran = subprocess.run(
            [*self._command, "rollout", "status", f"deployment/{name}", "-n", space, limit],
            stderr=subprocess.PIPE,
            text=True,
        )
        if ran.returncode != 0:
            raise DeployError(_explain(ran.stderr.strip()))

    def raw(self, path: str) -> str:
        """Returns the API server's answer at a path, or kubectl's error for an error status.

        Raises:
            DeployError: the cluster does not answer in time.
        """
        ran = self._try(("get", "--raw", path), None)
        return (ran.stdout or ran.stderr).strip()

    def _try(
        self, arguments: tuple[str, ...], stdin: str | None
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*self._command, *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=_KUBECTL_S,
            )
        except subprocess.TimeoutExpired as error:
            raise DeployError(f"the cluster does not answer within {_KUBECTL_S} s") from error


def _explain(text: str) -> str:
    if "no matches for kind" in text and "SeldonDeployment" in text:
        return (
            "the cluster lacks the kind SeldonDeployment: install Seldon Core 1.17.1 "
            "(sdep/README.md)"
        )
    if "no matches for kind" in text:
        return f"the cluster lacks an operator that this overlay needs (sdep/README.md): {text}"
    if "connect" in text or "current-context" in text or "dial tcp" in text:
        return f"no cluster answers; see `kubectl config get-contexts`: {text.splitlines()[-1]}"
    return text
