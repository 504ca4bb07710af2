"""A real Kubernetes on this machine, with Seldon's operator and KEDA as separate processes.

The folder `K8S_RIG` contains `bin/` with the programs in `PROGRAMS`, `crds/` with further kinds of
KEDA, and `admin.kubeconfig` of the running cluster. `RIG` names the script that starts and stops
the cluster.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
HOST = "10.244.0.1"
OPERATOR_NAMESPACE = "seldon-system"
KEDA_NAMESPACE = "keda"
PROGRAMS = (
    "kube-apiserver",
    "kubelet",
    "seldon-operator",
    "seldon-executor",
    "keda",
    "keda-adapter",
    "metrics-server",
)
_UP_S = 120
_TRIES = 3


class Rig:
    """The cluster, and the processes outside it.

    Args:
        home: the folder `K8S_RIG`.
        script: path of the script that starts and stops the cluster.
        definitions: the folder `CRD_DIR`.
    """

    def __init__(self, home: Path, script: Path, definitions: Path) -> None:
        self.home, self._script, self._definitions = home, script, definitions
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environ = {**os.environ, "K8S_RIG": str(home), "KUBECONFIG": str(self.kubeconfig)}

    @property
    def kubeconfig(self) -> Path:
        """Path of the administrator's kubeconfig."""
        return self.home / "admin.kubeconfig"

    def up(self) -> None:
        """Starts a new cluster."""
        self._clear()
        self._rig("up")

    def down(self) -> None:
        """Stops the processes outside the cluster, and the cluster."""
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        self._clear()

    def load(self, *images: str) -> None:
        """Loads images of this machine's Docker engine to the node."""
        for _ in range(_TRIES):
            # A try fails if the node deletes layers of an earlier cluster at that moment.
            if self._try_rig("load", *images).returncode == 0:
                return
        self._rig("load", *images)

    def kubectl(self, *arguments: str | Path, stdin: str = "", timeout: float = 120) -> str:
        """Returns the output of a command.

        Raises:
            AssertionError: the command failed; the message has its error output.
        """
        ran = self.try_kubectl(*arguments, stdin=stdin, timeout=timeout)
        assert ran.returncode == 0, f"kubectl {arguments}: {ran.stderr}"
        return ran.stdout

    def try_kubectl(
        self, *arguments: str | Path, stdin: str = "", timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command that may fail."""
        return subprocess.run(
            ["kubectl", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environ,
            timeout=timeout,
        )

    def apply(self, *documents: dict[str, Any]) -> None:
        """Creates or changes objects."""
        text = yaml.safe_dump_all(documents, sort_keys=False)
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

    def get(self, *arguments: str) -> Any:
        """Returns objects from `kubectl get -o json`."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def start(self, name: str, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """Starts a program of `bin/` outside the cluster; its log is in `log/`."""
        log = self.home / "log" / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(self.home / "bin" / name), *arguments],
                env={**self.environ, **environ},
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.home,
            )
        self._processes.append(process)
        return process

    def kill_container(self, identity: str) -> None:
        """Kills a container's first process with SIGKILL, like the kernel without free memory.

        Args:
            identity: id of the container in the pod's status, `containerd://…`.
        """
        socket = "/run/k8s-rig/containerd.sock"
        listed = subprocess.run(
            ["ctr", "-a", socket, "-n", "k8s.io", "tasks", "ls"],
            capture_output=True,
            text=True,
            check=True,
        )
        pids = {line.split()[0]: int(line.split()[1]) for line in listed.stdout.splitlines()[1:]}
        os.kill(pids[identity.rpartition("/")[2]], signal.SIGKILL)

    def certificate(self, name: str, subject_alternative: str) -> tuple[Path, Path]:
        """Creates a certificate of the cluster's authority; returns the paths of it and its key."""
        self._rig("cert", name, subject_alternative)
        return self.home / "pki" / f"{name}.crt", self.home / "pki" / f"{name}.key"

    def authority(self) -> str:
        """Returns the certificate of the cluster's authority, in base64 for API objects."""
        return base64.b64encode((self.home / "pki" / "ca.crt").read_bytes()).decode()

    def define(self, *patterns: str) -> None:
        """Creates kinds from files in the folder of definitions, or in the rig's `crds/`."""
        for pattern in patterns:
            found = [*self._definitions.glob(pattern), *(self.home / "crds").glob(pattern)]
            for path in sorted(found):
                made = self.try_kubectl("create", "-f", path)
                assert made.returncode == 0 or "AlreadyExists" in made.stderr, made.stderr

    def _clear(self) -> None:
        # A volume is busy for a moment after its pod has ended.
        for _ in range(_TRIES):
            if self._try_rig("down").returncode == 0:
                return
        raise AssertionError("the cluster does not stop")

    def _rig(self, *arguments: str) -> None:
        ran = self._try_rig(*arguments)
        assert ran.returncode == 0, f"rig {arguments}: {ran.stdout}{ran.stderr}"

    def _try_rig(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self._script), *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=_UP_S,
        )


def find_rig() -> Rig:
    """Returns the rig in the folder `K8S_RIG`.

    Raises:
        LookupError: `K8S_RIG` is not set, or a part is missing; the message names it.
    """
    home = os.environ.get("K8S_RIG")
    if not home:
        raise LookupError("K8S_RIG does not name the folder of a rig")
    script = Path(os.environ.get("RIG") or ROOT.parent / "shared" / "kubernetes" / "rig")
    if not script.is_file():
        raise LookupError("RIG does not name a script that starts and stops the cluster")
    missing = [name for name in PROGRAMS if not (Path(home) / "bin" / name).is_file()]
    if missing:
        raise LookupError(f"{home}/bin lacks {', '.join(missing)}")
    if shutil.which("kubectl") is None:
        raise LookupError("kubectl is not installed")
    definitions = os.environ.get("CRD_DIR")
    if not definitions:
        raise LookupError("CRD_DIR does not name a folder of custom resource definitions")
    return Rig(Path(home), script, Path(definitions))
