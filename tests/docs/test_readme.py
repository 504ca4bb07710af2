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
from seldon_kafka.cli import main as seldon_kafka
from tests.docs.readme_tables import README, with_tables
from wrapper.explain import main as explain

TEXT = README.read_text("utf-8")
MAINS = {
    "consumer": consumer,
    "consumer.dashboard": dashboard,
    "consumer.feedback": feedback,
    "kafka.cluster": cluster,
    "kafka.replicas": replicas,
    "producer": producer,
    "seldon-kafka": seldon_kafka,
    "wrapper.explain": explain,
}


def test_tables_are_those_of_the_code() -> None:
    assert with_tables(TEXT) == TEXT, "run python -m tests.docs.readme_tables"


def test_every_file_that_is_linked_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (README.parent / target).exists(), target


def is_ours(text: str) -> bool:
    return re.match(r"^(?:[A-Z_]+=\S+ )*(python -m |seldon-kafka )", text.strip()) is not None


def commands() -> list[list[str]]:
    """Every `python -m …` and `seldon-kafka …` of the README, without pipes and variables."""
    found = []
    for line in TEXT.splitlines():
        for part in line.split("|"):
            match = re.match(r"^(?:[A-Z_]+=\S+ )*(?:python -m )?(\S.*)$", part.strip())
            words = shlex.split(match[1], comments=True) if match and is_ours(part) else []
            if words:
                found.append(words)
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_exists_and_has_help(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main = MAINS[command[0]]
    depth = {"kafka.cluster": 1, "seldon-kafka": 1}.get(command[0], 0)
    if command[:2] in (["seldon-kafka", "topics"], ["seldon-kafka", "dead-letters"]):
        depth = 2
    # Kafka's own tools have their own help.
    is_kafkas_own = command[1:] and command[1].startswith("console-")
    subcommand = [] if is_kafkas_own else command[1 : 1 + depth]
    with pytest.raises(SystemExit) as ended:
        main([*subcommand, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for option in command[1:]:
        if option.startswith("--") and not is_kafkas_own:
            assert option in said
