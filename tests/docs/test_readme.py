"""What the README says is so."""

from __future__ import annotations

import re
import shlex

import pytest

from consumer.__main__ import main as consumer
from consumer.dashboard.__main__ import main as dashboard
from consumer.feedback import main as feedback
from kafka.cluster.__main__ import main as cluster
from kafka.replicas.__main__ import main as replicas
from producer.__main__ import main as producer
from seldon_kafka.check import main as check
from seldon_kafka.config.rights import main as rights
from seldon_kafka.dead_letters.__main__ import main as dead_letter
from seldon_kafka.request_log.__main__ import main as request_log
from seldon_kafka.topics.__main__ import main as topics
from seldon_kafka.worker.__main__ import main as worker
from tests.docs.readme_tables import README, with_tables
from wrapper.explain import main as explain

TEXT = README.read_text("utf-8")
MAINS = {
    "consumer": consumer,
    "consumer.dashboard": dashboard,
    "consumer.feedback": feedback,
    "seldon_kafka.check": check,
    "kafka.cluster": cluster,
    "seldon_kafka.dead_letters": dead_letter,
    "kafka.replicas": replicas,
    "seldon_kafka.request_log": request_log,
    "seldon_kafka.config.rights": rights,
    "seldon_kafka.topics": topics,
    "seldon_kafka.worker": worker,
    "producer": producer,
    "wrapper.explain": explain,
}


def test_tables_are_those_of_the_code() -> None:
    assert with_tables(TEXT) == TEXT, "run python -m tests.docs.readme_tables"


def test_every_file_that_is_linked_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (README.parent / target).exists(), target


def commands() -> list[list[str]]:
    """Every `python -m …` of the README, without comments, pipes and variables."""
    found = []
    for line in TEXT.splitlines():
        for part in line.split("|"):
            match = re.match(r"^(?:[A-Z_]+=\S+ )*python -m (\S.*)$", part.strip())
            if match:
                found.append(shlex.split(match[1], comments=True))
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_exists_and_has_help(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main = MAINS[command[0]]
    has_commands = command[0] in (
        "kafka.cluster",
        "seldon_kafka.topics",
        "seldon_kafka.dead_letters",
    )
    # Kafka's own tools have their own help.
    subcommand = command[1:2] if has_commands and not command[1].startswith("console-") else []
    with pytest.raises(SystemExit) as ended:
        main([*subcommand, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for option in command[1:]:
        if option.startswith("--") and not command[1].startswith("console-"):
            assert option in said
