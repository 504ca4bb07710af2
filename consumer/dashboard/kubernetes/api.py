"""Sends requests to a Kubernetes API server, and turns its errors into texts of one line."""

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

_TIMEOUT = urllib3.Timeout(connect=2.0, read=4.0)
_TOTAL_TIMEOUT_S = 8.0
_SHORT_TIMEOUT = urllib3.Timeout(connect=1.0, read=1.5)
_SHORT_TOTAL_TIMEOUT_S = 3.0
_MOST_BYTES = 32 * 2**20
# The total timeout is checked only between chunks, so chunks are small.
_CHUNK = 4096

_KUBECONFIG = "~/.kube/config"
_IN_A_POD = "KUBERNETES_SERVICE_HOST"


class RequestRefused(FleetError):
    """The API server refused a request.

    Args:
        status: HTTP status of the response.
        message: the reason and the remedy.

    Attributes:
        status: HTTP status of the response.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """The response to a request.

    Attributes:
        status: HTTP status.
        content: the body.
    """

    status: int
    content: bytes

    @property
    def document(self) -> dict[str, Any] | None:
        """The body as an object of the Kubernetes API; None if the body is anything else."""
        try:
            document = json.loads(self.content)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) and "kind" in document else None


class Api:
    """A client of an API server; safe to use from several threads.

    The constructor reads the address and the credentials, and sends no request.

    Args:
        context: name of a context in the kubeconfig; None for its current context.

    Attributes:
        server: URL of the server, without a password.

    Raises:
        FleetError: there is no configuration, or the configuration can't be used.
    """

    def __init__(self, context: str | None) -> None:
        configuration = _configuration(context)
        self._client = client.ApiClient(configuration)
        self._base = configuration.host.rstrip("/")
        self.server: str = _without_password(self._base)

    def call(
        self,
        method: str,
        path: str,
        right: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        short_timeout: bool = False,
    ) -> dict[str, Any]:
        """Sends a request, and returns the object in the response.

        Args:
            method: HTTP method.
            path: path of the resource, with quoted names.
            right: the right that a Role must grant for the request, such as `list pods`.
            query: parameters of the query.
            body: the body, which is sent as JSON; None for no body.
            content_type: media type of the body.
            short_timeout: whether to wait for 3 s instead of 8 s.

        Returns:
            The object in the response.

        Raises:
            RequestRefused: the response has an error status.
            FleetError: `send` failed, or the server is not a Kubernetes API server.
        """
        reply = self.send(method, path, query, body, content_type, short_timeout=short_timeout)
        if reply.status >= 300:
            raise self.refusal(reply, right)
        document = reply.document
        if document is None:
            raise FleetError(f"the server at {self.server} is no Kubernetes API server")
        return document

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        *,
        short_timeout: bool = False,
        most_bytes: int = _MOST_BYTES,
    ) -> Reply:
        """Sends a request, without retries, and returns the response with any status.

        Args:
            method: HTTP method.
            path: path of the resource, with quoted names.
            query: parameters of the query.
            body: the body, which is sent as JSON; None for no body.
            content_type: media type of the body.
            short_timeout: whether to wait for 3 s instead of 8 s.
            most_bytes: limit of the size of the response.

        Raises:
            FleetError: the credentials can't be used, there is no complete response in time, or the
                response is too large.
        """
        url = self._base + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json, */*", **self._credentials()}
        if body is not None:
            headers["Content-Type"] = content_type
        until = time.monotonic() + (_SHORT_TOTAL_TIMEOUT_S if short_timeout else _TOTAL_TIMEOUT_S)
        try:
            response = self._client.rest_client.pool_manager.urlopen(
                method,
                url,
                # A pod behind the API server's proxy could redirect the request, with the token in
                # it, to any address.
                redirect=False,
                retries=False,
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=_SHORT_TIMEOUT if short_timeout else _TIMEOUT,
                preload_content=False,
                enforce_content_length=True,
            )
            with contextlib.closing(response):
                content = _read(response, most_bytes, until)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise FleetError(f"no connection to {self.server}: {_describe_error(error)}") from error
        except ValueError:
            # The exception is not chained, because it quotes the header with the token.
            raise FleetError("the token has characters that can't be sent; log in again") from None
        return Reply(response.status, content)

    def refusal(self, reply: Reply, right: str) -> RequestRefused:
        """Returns the exception for a response with an error status.

        Args:
            reply: the response.
            right: the right that a Role must grant for the request, such as `list pods`.
        """
        message = in_line((reply.document or {}).get("message") or _first_line(reply.content))
        if reply.status == 401:
            text = (
                f"{self.server} does not accept the credentials (401): "
                "log in again, or correct the user in the kubeconfig"
            )
        elif reply.status == 403 and " is forbidden: User " in message:
            text = f"the right to {right} is missing, a Role must grant it (403: {message})"
        else:
            text = (
                f"{self.server} refuses to {right} ({reply.status}: {message or 'no reason given'})"
            )
        return RequestRefused(reply.status, text)

    def close(self) -> None:
        """Closes all connections."""
        self._client.rest_client.pool_manager.clear()

    def _credentials(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        with _without_secrets("the credentials can't be read"):
            self._client.update_params_for_auth(headers, [], ["BearerToken"])
        return headers


def _configuration(context: str | None) -> client.Configuration:
    """Reads the kubeconfig, or the pod's service account if there is no kubeconfig.

    Raises:
        FleetError: there is no configuration, or the configuration can't be used.
    """
    files = os.environ.get("KUBECONFIG") or _KUBECONFIG
    exists = any(Path(each).expanduser().exists() for each in files.split(os.pathsep) if each)
    if not exists and (context is not None or _IN_A_POD not in os.environ):
        raise FleetError(
            f"no cluster is configured: {files} does not exist; log in to one, or set KUBECONFIG"
        )
    found = client.Configuration()
    # The client reads the address of a proxy from the environment, but not the list of hosts that
    # are reached without the proxy.
    found.no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    with _without_secrets(
        f"{files} can't be used" if exists else "the service account can't be used"
    ):
        if exists:
            config.load_kube_config(files, context, found)
        else:
            config.load_incluster_config(found)
        if urllib3.util.parse_url(found.host).scheme not in ("http", "https"):
            raise config.ConfigException(
                "the server has no URL that begins with https:// or http://"
            )
    if not found.verify_ssl:
        # The user has set `insecure-skip-tls-verify`, so warnings are not useful.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return found


@contextlib.contextmanager
def _without_secrets(what: str) -> Iterator[None]:
    """Turns exceptions into a FleetError of one line, without secrets of the configuration.

    Args:
        what: text at the beginning of the error.
    """
    try:
        yield
    except yaml.MarkedYAMLError as error:  # the text of the exception quotes secrets in the file
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise FleetError(f"{what}: line {line} is no YAML: {error.problem}") from None
    except OSError as error:
        raise FleetError(f"{what}: {error.strerror} ({error.filename})") from None
    except (config.ConfigException, urllib3.exceptions.HTTPError) as error:
        # The text of the exception quotes an incomplete entry, with its token, after a brace.
        raise FleetError(f"{what}: {in_line(str(error).split('{')[0])}") from None
    except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError):
        raise FleetError(f"{what}: it is not a valid kubeconfig") from None


def _without_password(url: str) -> str:
    return str(urllib3.util.parse_url(url)._replace(auth=None).url)


def _read(response: urllib3.HTTPResponse, most_bytes: int, until_s: float) -> bytes:
    content = bytearray()
    # Compression was not requested. If content is compressed all the same, it is not unpacked,
    # because unpacked content could have any size.
    while part := response.read(_CHUNK, decode_content=False):
        content += part
        if len(content) > most_bytes:
            raise FleetError(f"a response has more than {most_bytes} bytes")
        if time.monotonic() > until_s:
            raise FleetError("a response is too slow")
    return bytes(content)


def _describe_error(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return str(error).rpartition(": ")[2]
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "it does not answer in time"
    if isinstance(error, urllib3.exceptions.SSLError):
        return f"the connection is not safe: {in_line(error)}"
    return f"the connection broke ({in_line(error)})"


def _first_line(content: bytes) -> str:
    return content[:1000].decode("utf-8", "replace").strip().partition("\n")[0]
