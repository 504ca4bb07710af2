"""The public names of `seldon_kafka`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import seldon_kafka


@pytest.mark.parametrize("name", seldon_kafka.__all__)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    found = getattr(seldon_kafka, name)
    assert name == "__version__" or found.__doc__


def test_another_name_does_not_exist() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = seldon_kafka.nothing


def test_importing_the_response_imports_no_kafka_client() -> None:
    code = "import sys; from seldon_kafka import Response; print('confluent_kafka' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


def test_the_command_line_starts_without_numpy() -> None:
    code = "import sys; import seldon_kafka.cli; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
