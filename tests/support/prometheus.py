"""Runs a real Prometheus, which reads its targets from files instead of an API server."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import patient
from tests.support.ports import free_ports


@contextlib.contextmanager
def prometheus(folder: Path, config: dict[str, Any]) -> Iterator[str]:
    """Runs Prometheus and yields its address; without Prometheus the test is skipped."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed: use Debian's package of that name")
    (port,) = free_ports(1)
    # JSON is valid YAML.
    (folder / "prometheus.json").write_text(json.dumps(config), "utf-8")
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.json'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(patient(20))


def ask(url: str, query: str) -> list[Any]:
    """Returns the result of a query; nothing while Prometheus does not answer.

    Raises:
        ValueError: the query is not valid.
    """
    address = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            found = json.loads(answer.read())["data"]["result"]
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.BAD_REQUEST:
            raise ValueError(f"{query}: {error.read().decode()}") from error
        return []
    except OSError:
        return []
    # A share of zero messages is NaN.
    return [each for each in found if each["value"][1] != "NaN"]
