"""Rights, and the commands that grant them."""

from __future__ import annotations

import shlex

import pytest

from seldon_kafka.config.rights import ROLES, Right, RightMissing
from seldon_kafka.config.settings import load_settings
from tests.support.commands import acls as main

SETTINGS = load_settings({"KAFKA_BROKER": "b:9092", "KAFKA_INPUT_TOPIC": "in"})


@pytest.mark.parametrize("role", ROLES)
def test_the_command_for_each_right_has_the_names_of_the_settings(
    role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BROKER", "b:9092")
    monkeypatch.setenv("KAFKA_INPUT_TOPIC", "in")
    assert main([role, "User:CN=some one"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, right in zip(lines, ROLES[role](SETTINGS), strict=True):
        words = shlex.split(line)
        assert words[:3] == ["kafka-acls.sh", "--bootstrap-server", "b:9092"]
        assert words[words.index("--allow-principal") + 1] == "User:CN=some one"
        assert words[words.index("--operation") + 1] == right.operation
        assert right.name in words
        assert ("prefixed" in words) == right.prefixed


@pytest.mark.parametrize("role", ROLES)
def test_no_role_has_a_right_twice_or_to_every_resource(role: str) -> None:
    rights = ROLES[role](SETTINGS)
    assert len({(right.resource, right.name, right.operation) for right in rights}) == len(rights)
    for right in rights:
        assert right.operation != "All"
        assert right.name not in ("", "*")
        assert right.purpose


def test_the_request_log_takes_rights_only_where_it_is_on() -> None:
    settings = load_settings({"KAFKA_BROKER": "b:9092", "KAFKA_LOG_REQUESTS": "on"})
    for role in ("worker", "topics"):
        more = {right[:3] for right in ROLES[role](settings)}
        log = {right for right in more if right[1] == "model_log"}
        assert {operation for _, _, operation in log} >= {"DescribeConfigs"}
        assert len(more) - len(log) == len(ROLES[role](SETTINGS))


def test_the_error_for_wrong_use_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["worker", "model"]) == 2
    assert capsys.readouterr().err == "error: write the principal as User:model\n"
    monkeypatch.setenv("KAFKA_INPT_TOPIC", "in")
    assert main(["worker", "User:model"]) == 2
    assert "did you mean KAFKA_INPUT_TOPIC?" in capsys.readouterr().err


def test_the_error_for_a_missing_right_names_it_with_advice() -> None:
    rights = [Right("Topic", "out", "Write", ""), Right("TransactionalId", "g.", "Write", "", True)]
    assert str(RightMissing(rights)) == (
        "not allowed: Write on Topic out, Write on TransactionalId prefix g.; grant it to this "
        "user (`seldon-kafka acls worker User:NAME` prints how)"
    )
