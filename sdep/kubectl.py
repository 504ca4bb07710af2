"""kubectl, and its errors in words that say what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

_KUBECTL_S = 60


class Trouble(Exception):
    """Something that the user can mend; the message says how."""


class Kubectl:
    """kubectl, for one context.

    Raises:
        Trouble: it is not installed.
    """

    def __init__(self, context: str | None = None) -> None:
        if shutil.which("kubectl") is None:
            raise Trouble("kubectl is not here; install it, and name the cluster in KUBECONFIG")
        self._command = ["kubectl", *(["--context", context] if context else [])]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """What a command prints.

        Raises:
            Trouble: it fails; the message is its own.
        """
        ran = self._try(arguments, stdin)
        if ran.returncode != 0:
            raise Trouble(_explained(ran.stderr.strip()))
        return ran.stdout

    def get(self, *arguments: str) -> Any:
        """Objects, or None if there is no such."""
        ran = self._try(("get", *arguments, "-o", "json", "--ignore-not-found"), None)
        if ran.returncode != 0:
            raise Trouble(_explained(ran.stderr.strip()))
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    def list(self, *arguments: str) -> list[dict[str, Any]]:
        """Objects; none if there are none."""
        return list((self.get(*arguments) or {"items": []})["items"])

    def raw(self, path: str) -> str:
        """What the API server answers at a path, whatever its status."""
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
            raise Trouble(f"the cluster does not answer within {_KUBECTL_S} s") from error


def _explained(said: str) -> str:
    if "no matches for kind" in said and "SeldonDeployment" in said:
        return "the cluster knows no SeldonDeployment: install Seldon Core 1.17.1 (sdep/README.md)"
    if "no matches for kind" in said:
        return f"the cluster lacks an operator that this overlay needs (sdep/README.md): {said}"
    if "connect" in said or "current-context" in said or "dial tcp" in said:
        return f"no cluster answers; see `kubectl config get-contexts`: {said.splitlines()[-1]}"
    return said
