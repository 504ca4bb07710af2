"""What `import seldon_kafka` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import seldon_kafka


@pytest.mark.parametrize("name", seldon_kafka.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(seldon_kafka, name)
    assert name == "__version__" or found.__doc__


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = seldon_kafka.nothing


def test_a_class_that_wants_a_response_brings_no_kafka_client_along() -> None:
    code = "import sys; from seldon_kafka import Response; print('confluent_kafka' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
