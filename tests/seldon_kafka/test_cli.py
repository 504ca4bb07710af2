"""The command `seldon-kafka`: help, errors in one line, exit statuses, and its module path."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seldon_kafka import __version__
from seldon_kafka.cli import main
from tests.support.patience import patient

COMMANDS = (
    *("worker", "serve", "check", "topics", "dead-letters", "request-log", "feedback", "acls"),
)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KAFKA_")]:
        monkeypatch.delenv(name)


def output_at_exit(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Returns the text that argparse prints before it exits."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    said = output_at_exit(capsys, "--help")
    assert all(f"\n    {command} " in said for command in COMMANDS)
    assert "examples:" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = output_at_exit(capsys, command, "--help")
    assert said.startswith(f"usage: seldon-kafka {command} ")
    assert f"  seldon-kafka {command}" in said.partition("examples:")[2]


@pytest.mark.parametrize(
    ("command", "action"),
    [
        *(("topics", action) for action in ("create", "show", "add-partitions")),
        *(("dead-letters", action) for action in ("list", "show", "replay", "purge")),
        *(("feedback", action) for action in ("send", "list")),
    ],
)
def test_every_action_has_help_with_its_own_examples(
    command: str, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = output_at_exit(capsys, command, action, "--help").partition("examples:")[2]
    assert examples.strip()
    assert all(action in line for line in examples.strip().splitlines())


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert output_at_exit(capsys, "--version") == f"seldon-kafka {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_the_commands_and_their_options(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--print-completion", shell]) == 0
    said = capsys.readouterr().out
    assert "dead-letters" in said
    assert "--dry-run" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["topics", "show"], "no Kafka broker: set KAFKA_BROKER=host:port"),
        (["dead-letters", "list"], "no Kafka broker: set KAFKA_BROKER=host:port"),
        (["worker", "MyModel"], "no Kafka broker: set KAFKA_BROKER=host:port"),
        (["serve"], "no class is named: set MODEL_NAME, or add Module.Class"),
        (["check", "no_such.Model"], "can't import 'no_such'"),
        (
            ["check", "tests.support.classes.Double", "--payload", "absent"],
            "--payload absent: No such file",
        ),
        (["acls", "worker", "model"], "write the principal as User:model"),
        (["feedback", "send", "p-1"], "use --truth LABEL or --reward NUMBER"),
        (["request-log"], "no search engine is set: set REQUEST_LOG_URL or use --url"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MODEL_NAME", raising=False)
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_the_error_for_a_model_that_cannot_be_created_is_one_line_with_its_location(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacking.py").write_text(
        "class Lacking:\n    def load(self):\n        open('model.joblib')\n", "utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["check", "lacking.Lacking"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "FileNotFoundError" in line
    assert "lacking.py, line 3" in line


def test_a_broken_pipe_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "seldon_kafka", "acls", "dashboard", "User:x"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_ctrl_c_is_status_130(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\nprint('imported', flush=True)\ntime.sleep(60)\n", "utf-8"
    )
    command = [sys.executable, "-m", "seldon_kafka", "check", "slow.Model"]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"imported\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(patient(10)) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_user_model_is_looked_for_in_the_current_folder_first(tmp_path: Path) -> None:
    """It precedes other folders even without `python -m`, which adds it to the path."""
    (tmp_path / "model.py").write_text(
        "class Mine:\n    def predict(self, X, names):\n        return X\n", "utf-8"
    )
    (tmp_path / "request.json").write_text('{"data":{"ndarray":[[1]]}}', "utf-8")
    code = "import sys; from seldon_kafka.cli import main; sys.exit(main())"
    script = tmp_path / "bin" / "seldon-kafka"
    script.parent.mkdir()
    script.write_text(code, "utf-8")
    ran = subprocess.run(
        [sys.executable, str(script), "check", "model.Mine", "--payload", "request.json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(60),
    )
    assert "class     model.Mine" in ran.stdout, ran.stderr
