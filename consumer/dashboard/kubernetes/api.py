"""Requests to a Kubernetes API server: as whom, for how long, and what its refusals mean."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes import client, config

from consumer.dashboard.fleet import FleetError
from consumer.dashboard.kubernetes.pods import in_line

JSON_PATCH = "application/json-patch+json"

_PATIENCE = urllib3.Timeout(connect=2.0, read=4.0)
_IN_ALL_S = 8.0
_HASTE = urllib3.Timeout(connect=1.0, read=1.5)
_HASTE_IN_ALL_S = 3.0
_MOST_BYTES = 32 * 2**20
# The clock is looked at only between two of these, however slowly their bytes come.
_CHUNK = 4096

_KUBECONFIG = "~/.kube/config"
_IN_A_POD = "KUBERNETES_SERVICE_HOST"


class Refused(FleetError):
    """The API server says no.

    Attributes:
        status: Of HTTP.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """What a request is answered with.

    Attributes:
        status: Of HTTP.
        content: All of the body.
    """

    status: int
    content: bytes

    @property
    def document(self) -> dict[str, Any] | None:
        """The body, if it is an object of the API."""
        try:
            document = json.loads(self.content)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) and "kind" in document else None


class Api:
    """An API server; safe to use from several threads."""

    def __init__(self, context: str | None) -> None:
        """Find out where it is, and who asks; nothing is asked yet.

        Args:
            context: Of the kubeconfig; its current one if None.

        Raises:
            FleetError: No configuration is found, or it can't be used.
        """
        configuration = _configuration(context)
        self._client = client.ApiClient(configuration)
        self._base = configuration.host.rstrip("/")
        self.server: str = _without_password(self._base)

    def ask(
        self,
        method: str,
        path: str,
        right: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        hasty: bool = False,
    ) -> dict[str, Any]:
        """Makes a call of the API.

        Args:
            method: Of HTTP.
            path: The resource's, with all names quoted.
            right: What a Role must grant for it: `list pods`.
            query: Parameters.
            body: Is sent as JSON.
            content_type: Of the body.
            hasty: It is not worth a long wait.

        Returns:
            The object that is answered.

        Raises:
            Refused: The server says no.
            FleetError: It does not answer, or makes no sense.
        """
        reply = self.send(method, path, query, body, content_type, hasty=hasty)
        if reply.status >= 300:
            raise self.refusal(reply, right)
        document = reply.document
        if document is None:
            raise FleetError(f"what answers on {self.server} is no Kubernetes API server")
        return document

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        *,
        hasty: bool = False,
        most_bytes: int = _MOST_BYTES,
    ) -> Reply:
        """Sends a request, once, and follows no redirection; see `ask`.

        Raises:
            FleetError: No answer comes in time, or one that is too large.
        """
        url = self._base + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json, */*", **self._credentials()}
        if body is not None:
            headers["Content-Type"] = content_type
        until = time.monotonic() + (_HASTE_IN_ALL_S if hasty else _IN_ALL_S)
        try:
            response = self._client.rest_client.pool_manager.urlopen(
                method,
                url,
                # A pod behind the proxy could send us, and our rights, to any other place.
                redirect=False,
                retries=False,
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=_HASTE if hasty else _PATIENCE,
                preload_content=False,
                enforce_content_length=True,
            )
            with contextlib.closing(response):
                content = _read(response, most_bytes, until)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise FleetError(f"{self.server} can't be asked: {_trouble(error)}") from error
        except ValueError:
            # The error quotes the header, and would print the token.
            raise FleetError("the token has characters that can't be sent; log in again") from None
        return Reply(response.status, content)

    def refusal(self, reply: Reply, right: str) -> Refused:
        """What a reply of another status than success means; see `ask`."""
        said = in_line((reply.document or {}).get("message") or _first_line(reply.content))
        if reply.status == 401:
            text = (
                f"{self.server} does not know who asks (401): "
                "log in again, or mend the user in the kubeconfig"
            )
        elif reply.status == 403 and " is forbidden: User " in said:
            text = f"the right to {right} is missing, a Role must grant it (403: {said})"
        else:
            text = f"{self.server} refuses to {right} ({reply.status}: {said or 'nothing more'})"
        return Refused(reply.status, text)

    def close(self) -> None:
        """Let go of all connections."""
        self._client.rest_client.pool_manager.clear()

    def _credentials(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        with _explaining("the credentials can't be had"):
            self._client.update_params_for_auth(headers, [], ["BearerToken"])
        return headers


def _configuration(context: str | None) -> client.Configuration:
    """As kubectl finds it: kubeconfig files, else the service account of the pod."""
    files = os.environ.get("KUBECONFIG") or _KUBECONFIG
    there = any(Path(each).expanduser().exists() for each in files.split(os.pathsep) if each)
    if not there and (context is not None or _IN_A_POD not in os.environ):
        raise FleetError(
            f"no cluster is known: there is no {files}; log in to one, or set KUBECONFIG"
        )
    found = client.Configuration()
    # The client reads the proxy from the environment, and forgets what it is not for.
    found.no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    with _explaining(f"{files} can't be used" if there else "the service account can't be used"):
        if there:
            config.load_kube_config(files, context, found)
        else:
            config.load_incluster_config(found)
        if urllib3.util.parse_url(found.host).scheme not in ("http", "https"):
            raise config.ConfigException("the server has no URL that begins with https://")
    if not found.verify_ssl:
        # Who wrote `insecure-skip-tls-verify` knows.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return found


@contextlib.contextmanager
def _explaining(what: str) -> Iterator[None]:
    """Says in one line what is wrong with a configuration, and nothing that is secret in it."""
    try:
        yield
    except yaml.MarkedYAMLError as error:  # its text quotes the file
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise FleetError(f"{what}: line {line} is no YAML: {error.problem}") from None
    except OSError as error:
        raise FleetError(f"{what}: {error.strerror} ({error.filename})") from None
    except (config.ConfigException, urllib3.exceptions.HTTPError) as error:
        # Of an entry that lacks something the client quotes all, with the token.
        raise FleetError(f"{what}: {in_line(str(error).split('{')[0])}") from None
    except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError):
        raise FleetError(f"{what}: it is no kubeconfig, or a damaged one") from None


def _without_password(url: str) -> str:
    return str(urllib3.util.parse_url(url)._replace(auth=None).url)


def _read(response: urllib3.HTTPResponse, most_bytes: int, until_s: float) -> bytes:
    content = bytearray()
    # What is packed is not unpacked: nobody asked for it, and it may become any size.
    while part := response.read(_CHUNK, decode_content=False):
        content += part
        if len(content) > most_bytes:
            raise FleetError(f"an answer has more than {most_bytes} bytes")
        if time.monotonic() > until_s:
            raise FleetError("an answer comes too slowly")
    return bytes(content)


def _trouble(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return str(error).rpartition(": ")[2]
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "it does not answer in time"
    if isinstance(error, urllib3.exceptions.SSLError):
        return f"the connection is not safe: {in_line(error)}"
    return f"the connection broke ({in_line(error)})"


def _first_line(content: bytes) -> str:
    return content[:1000].decode("utf-8", "replace").strip().partition("\n")[0]
