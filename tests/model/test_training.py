"""Training from the command line: runs, their files, and their exit statuses."""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import baseline, dataset, export, train
from model.artefacts import read_artefact
from model.dataset import Split
from model.loader import Classifier
from tests.model.training import (
    RECIPES,
    TRAIN,
    TRAIN_IMAGES,
    bars,
    ended,
    start,
    write_data,
)
from tests.support.environments import with_tensorflow
from tests.support.ports import free_port

# Interrupts or kills the process in the third epoch, before its checkpoint is written.
END_EARLY = """
import os, signal
from model.progress import Progress
show = Progress.epoch_done
def show_and_end(self, *arguments):
    show(self, *arguments)
    if self._epoch == 3:
        {end}
Progress.epoch_done = show_and_end
"""
STOP = END_EARLY.format(end="signal.raise_signal(signal.SIGINT)") + TRAIN
FAIL = END_EARLY.format(end="os._exit(9)") + TRAIN

# Resumes a stopped run and exports it; a few outliers suffice for its detector.
RESUME = """
from model import detector, export
detector._PICTURES = 100
recipe, recipes, runs, out = sys.argv[1:]
call(train, recipe, "--recipes", recipes, "--runs", runs)
call(export, recipe, "--recipes", recipes, "--runs", runs, "--out", out)
write_weights(runs)
"""

# Trains the student, whose teacher was stopped, and trains that teacher again without a stop.
TRAIN_STUDENT = (
    RESUME
    + """
uninterrupted = str(Path(runs).with_name("uninterrupted"))
call(train, "teacher", "--recipes", recipes, "--runs", uninterrupted)
write_weights(uninterrupted)
"""
)

# Reports the answer to a white picture after training on it, and the steps of an epoch.
TRAIN_ON_WHITE = """
import json, numpy as np
from model import trainer
call(train, *sys.argv[1:])
runs = Path(sys.argv[-3])
import keras
model = keras.saving.load_model(next(runs.glob("*/model.keras")), compile=False)
label = int(model(np.ones((1, 28, 28, 1), np.float32)).numpy().argmax())
import tensorflow as tf
checkpoint = next(runs.glob("*/checkpoints/*.index")).with_suffix("")
done = tf.train.load_variable(
    str(checkpoint), "optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"
)
(runs / "answer.json").write_text(json.dumps({"label": label, "steps": int(done) // 4}))
"""

TRAIN_AND_SAVE_ONCE = """
call(train, *sys.argv[1:])
if '"type": "chief"' in __import__("os").environ["TF_CONFIG"]:
    write_weights(sys.argv[-1])
"""

pytestmark = [
    pytest.mark.xdist_group("training"),  # one process makes what all of these tests use
    pytest.mark.timeout(300),  # the first test waits for all trainings
]


@dataclass(frozen=True)
class Workspace:
    """A folder with a data set, recipes and runs."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def recipes(self) -> Path:
        return self.folder / "recipes.yaml"

    def run(self, recipe: str, runs: str) -> Path:
        (found,) = (self.folder / runs).glob(f"{recipe}-*")
        return found

    def weights(self, recipe: str, runs: str) -> list[Any]:
        with np.load(self.run(recipe, runs) / "weights.npz") as arrays:
            return list(arrays.values())

    def facts(self, recipe: str, runs: str) -> Any:
        return json.loads((self.run(recipe, runs) / "run.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace(tmp_path_factory.mktemp("training"))
    made.data.mkdir()
    write_data(made.data)
    made.recipes.write_text(RECIPES, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def stopped(workspace: Workspace) -> tuple[int, str]:
    """The exit status and the output of a training of `single` that Ctrl-C ends."""
    return stop(workspace, "single", "stopped")


@pytest.fixture(scope="module")
def resumed(workspace: Workspace, stopped: tuple[int, str]) -> list[str]:
    """The lines about epochs of the resumed training of `single`."""
    return resume(workspace, RESUME, "single", "stopped")


@pytest.fixture(scope="module")
def taught(workspace: Workspace) -> list[str]:
    """The lines about epochs of the training of `student`, whose teacher was stopped before.

    Those of a training of `teacher` without a stop follow.
    """
    stop(workspace, "teacher", "taught")
    return resume(workspace, TRAIN_STUDENT, "student", "taught")


@pytest.fixture(scope="module", params=["single", pytest.param("student", marks=pytest.mark.full)])
def trained(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A trained and exported recipe, and the folder of its runs."""
    fixture, runs = {"single": ("resumed", "stopped"), "student": ("taught", "taught")}[
        request.param
    ]
    request.getfixturevalue(fixture)
    return request.param, runs


def stop(workspace: Workspace, recipe: str, runs: str) -> tuple[int, str]:
    """Interrupts a training with Ctrl-C; returns its exit status and its standard error."""
    options = (recipe, "--recipes", workspace.recipes, "--runs", workspace.folder / runs)
    status, _, complaints = ended(start(STOP, *options, data=workspace.data))
    assert list((workspace.run(recipe, runs) / "checkpoints").iterdir())
    assert not (workspace.run(recipe, runs) / "model.keras").exists()
    # A full disk leaves such a file.
    (workspace.run(recipe, runs) / "seconds.json").write_text("")
    return status, complaints


def resume(workspace: Workspace, program: str, recipe: str, runs: str) -> list[str]:
    """Runs a program on runs of which one was stopped; returns its lines about epochs."""
    folders = [workspace.folder / name for name in (runs, f"{recipe}-artefact")]
    status, _, message = ended(
        start(program, recipe, workspace.recipes, *folders, data=workspace.data)
    )
    assert status == 0, message
    return epochs_of(message)


def epochs_shown(lines: list[str]) -> list[tuple[str, str]]:
    """Returns the recipe and the epoch of each line."""
    return [(line.split("-")[0], line.split()[2]) for line in lines]


def epochs_of(message: str) -> list[str]:
    return [line for line in message.splitlines() if "epoch" in line]


def losses(lines: list[str]) -> list[float]:
    return [float(line.split("loss ")[1].split(",")[0]) for line in lines]


@with_tensorflow
def test_ctrl_c_ends_a_run_with_one_line_that_says_how_to_resume(stopped: tuple[int, str]) -> None:
    status, message = stopped
    *epochs, last = message.splitlines()
    assert status == 130
    assert last == "stopped; run the same command again to resume"
    assert [line.split()[1:3] for line in epochs] == [["epoch", f"{i}/4,"] for i in (1, 2, 3)]


@with_tensorflow
def test_a_stopped_run_resumes_from_its_last_checkpoint(resumed: list[str]) -> None:
    assert epochs_shown(resumed) == [("single", "3/4,"), ("single", "4/4,")]


@pytest.mark.full
@with_tensorflow
def test_a_stopped_teacher_resumes_before_its_student_starts(taught: list[str]) -> None:
    epochs = epochs_shown(taught)
    assert epochs[:2] == [("teacher", "3/4,"), ("teacher", "4/4,")]
    assert epochs[2:6] == [("student", f"{i}/4,") for i in (1, 2, 3, 4)]


@pytest.mark.full
@with_tensorflow
def test_a_resumed_run_has_the_weights_of_an_uninterrupted_one(
    workspace: Workspace, taught: list[str]
) -> None:
    pairs = zip(
        workspace.weights("teacher", "taught"),
        workspace.weights("teacher", "uninterrupted"),
        strict=True,
    )
    for found, wanted in pairs:
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4)


@with_tensorflow
def test_a_run_records_the_settings_of_its_model(
    workspace: Workspace, trained: tuple[str, str]
) -> None:
    recipe, runs = trained
    facts = workspace.facts(recipe, runs)
    assert facts["run"] == workspace.run(recipe, runs).name
    if recipe == "student":
        assert facts["teachers"] == [workspace.run("teacher", runs).name]
        assert facts["recipe"]["distillation"] == 0.5
    else:
        assert facts["teachers"] == []
        assert facts["recipe"]["distillation"] == 0.0
    assert facts["images"] == TRAIN_IMAGES
    assert facts["validation_accuracy"] > 0.8
    assert facts["seconds"] > 0
    assert facts["parameters"] > 0
    assert facts["multiply_adds"] > 0


@with_tensorflow
def test_a_run_writes_logs_for_tensorboard(workspace: Workspace, trained: tuple[str, str]) -> None:
    files = list((workspace.run(*trained) / "tensorboard").glob("events.*"))
    # `single` was stopped once.
    assert len(files) == (2 if trained[0] == "single" else 1)
    content = b"".join(path.read_bytes() for path in files)
    assert content.count(b"loss") >= 4
    assert content.count(b"validation accuracy") >= 4


@with_tensorflow
def test_an_artefact_answers_like_its_run_and_names_it(
    workspace: Workspace, trained: tuple[str, str]
) -> None:
    recipe, runs = trained
    folder = workspace.folder / f"{recipe}-artefact"
    artefact = read_artefact(folder)
    assert artefact.variant == recipe
    assert artefact.made_by["run"] == workspace.facts(recipe, runs)
    images, labels = bars(200, np.random.default_rng(8))
    answers = Classifier(artefact.content).answers(images)
    assert (answers.probabilities.argmax(axis=1) == labels).mean() > 0.8
    assert answers.outlier is not None
    assert answers.outlier.mean() < 0.5
    kept = (folder / "model.keras").stat().st_size
    assert kept == pytest.approx(
        (workspace.run(recipe, runs) / "model.keras").stat().st_size, rel=0.01
    )


@pytest.mark.full
@with_tensorflow
def test_training_on_corrections_is_a_run_of_its_own(
    workspace: Workspace, taught: list[str]
) -> None:
    # The data set has no white image; here all of them are the last class.
    white = np.full((120, 28, 28), 255, np.uint8)
    corrections = workspace.folder / "corrections.npz"
    np.savez_compressed(corrections, images=white, labels=np.full(120, 9, np.uint8))
    runs = workspace.folder / "corrected"
    options = ("teacher", "--recipes", workspace.recipes, "--runs", runs, "--feedback", corrections)
    status, _, message = ended(start(TRAIN_ON_WHITE, *options, data=workspace.data))
    assert status == 0, message
    facts = workspace.facts("teacher", "corrected")
    assert facts["run"] == workspace.run("teacher", "corrected").name
    assert facts["run"] != workspace.run("teacher", "uninterrupted").name
    sha256 = hashlib.sha256(corrections.read_bytes()).hexdigest()
    assert facts["feedback"] == [{"sha256": sha256, "images": 120}]
    assert facts["images"] == TRAIN_IMAGES
    assert workspace.facts("teacher", "uninterrupted")["feedback"] == []
    answers = json.loads((runs / "answer.json").read_text())
    assert answers["label"] == 9
    assert answers["steps"] == (TRAIN_IMAGES + 120) // 60


@pytest.mark.full
@with_tensorflow
def test_two_processes_train_the_network_that_one_trains(
    workspace: Workspace, taught: list[str]
) -> None:
    message = together(workspace, "together", TRAIN_AND_SAVE_ONCE, TRAIN_AND_SAVE_ONCE)
    assert [status for status, _, _ in message] == [0, 0], message
    for _, _, each in message:
        assert losses(epochs_of(each)) == pytest.approx(losses(taught[6:]), rel=1e-3)
    assert_alike(
        workspace.weights("teacher", "together"), workspace.weights("teacher", "uninterrupted")
    )
    assert len(list((workspace.run("teacher", "together") / "tensorboard").iterdir())) == 1


@pytest.mark.full
@with_tensorflow
def test_two_processes_resume_after_one_was_lost(workspace: Workspace, taught: list[str]) -> None:
    (status, _, complaints), (lost, _, _) = together(workspace, "lost", TRAIN, FAIL)
    assert (status, lost) == (1, 9)
    assert "Traceback" not in complaints
    assert "error: another process ended: start all processes again" in complaints
    message = together(workspace, "lost", TRAIN_AND_SAVE_ONCE, TRAIN_AND_SAVE_ONCE)
    assert [status for status, _, _ in message] == [0, 0], message
    assert "epoch 1/4" not in message[0][2]
    assert_alike(
        workspace.weights("teacher", "lost"), workspace.weights("teacher", "uninterrupted")
    )


def together(
    workspace: Workspace, runs: str, chief: str, worker: str
) -> list[tuple[int, str, str]]:
    """Trains `teacher` in two processes; returns the exit status and output of each."""
    programs = {"chief": chief, "worker": worker}
    cluster = {role: [f"127.0.0.1:{free_port()}"] for role in programs}
    options = [
        "teacher",
        "--recipes",
        str(workspace.recipes),
        "--runs",
        str(workspace.folder / runs),
    ]
    processes = []
    for role, program in programs.items():
        task = json.dumps({"cluster": cluster, "task": {"type": role, "index": 0}})
        processes.append(start(program, *options, data=workspace.data, TF_CONFIG=task))
    return [ended(process) for process in processes]


def assert_alike(weights: list[Any], wanted: list[Any]) -> None:
    """Compares all weights together; single small ones depend on the processor's order of sums.

    The relative distance was 0.002 in correct runs, and 0.03 without shared batch statistics.
    """
    found, right = (np.concatenate([each.ravel() for each in some]) for some in (weights, wanted))
    assert np.linalg.norm(found - right) < 0.006 * np.linalg.norm(right)


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Any:
    """Calls the command line with 100 images; returns exit status and standard error."""
    split = Split(np.zeros((100, 28, 28), np.uint8), np.zeros(100, np.uint8))
    monkeypatch.setattr(dataset, "load_split", lambda name: split)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    recipes = tmp_path / "recipes.yaml"
    recipes.write_text(RECIPES, encoding="utf-8")

    def call(*arguments: str) -> tuple[int, str]:
        options = ["--recipes", str(recipes), "--runs", str(tmp_path / "runs")]
        monkeypatch.setattr(sys, "argv", ["train", *options, *arguments])
        try:
            status = train.main()
        except SystemExit as stop:
            status = int(str(stop.code))
        assert not (tmp_path / "runs").exists()
        return status, capsys.readouterr().err

    return call


def test_a_wrong_name_is_refused_before_any_download(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(dataset, "load_split")
    assert call("techer") == (
        2,
        "error: no recipe is named techer; there are teacher, student, single\n",
    )


def test_fewer_images_than_a_batch_are_refused(call: Any) -> None:
    message = "error: student: 59 images cannot fill a batch of 60\n"
    assert call("student", "--limit", "59") == (2, message)


def test_an_unwritable_path_fails_before_any_computation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(dataset, "load_split")
    (tmp_path / "file").touch()
    for main, option in (
        (export.main, "--saved-model"),
        (export.main, "--triton"),
        (baseline.main, "--out"),
    ):
        monkeypatch.setattr(sys, "argv", ["", option, str(tmp_path / "file" / "new")])
        assert main() == 1
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert message.count("\n") == 1


def test_a_batch_that_processes_cannot_share_is_refused(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1", "d:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
    status, message = call("teacher")
    assert status == 2
    assert (
        message
        == "error: teacher: a batch of 60 images does not give each of 4 processes the same "
        "even number of images\n"
    )


@pytest.mark.parametrize("message", ["{oops", "[]", '{"cluster": []}', '{"cluster": {"chief": 1}}'])
def test_a_tf_config_without_processes_is_refused(
    call: Any, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", message)
    status, error = call("teacher")
    assert status == 2
    assert error.startswith("error: TF_CONFIG: expected JSON such as {")
    assert error.endswith(f"got {message!r}\n")


@with_tensorflow
def test_a_process_that_tf_config_does_not_name_is_refused(workspace: Workspace) -> None:
    config = {"cluster": {"chief": ["127.0.0.1:1"]}, "task": {"type": "chief", "index": 7}}
    options = [
        "teacher",
        "--recipes",
        str(workspace.recipes),
        "--runs",
        str(workspace.folder / "none"),
    ]
    process = start(TRAIN, *options, data=workspace.data, TF_CONFIG=json.dumps(config))
    status, _, message = ended(process)
    assert (status, message.count("\n")) == (2, 1)
    assert message.startswith("error: TF_CONFIG: ")


@with_tensorflow
def test_the_error_for_an_invalid_folder_of_runs_is_one_line(workspace: Workspace) -> None:
    options = [
        "teacher",
        "--recipes",
        str(workspace.recipes),
        "--runs",
        str(workspace.recipes / "runs"),
    ]
    status, _, message = ended(start(TRAIN, *options, data=workspace.data))
    assert (status, message.count("\n")) == (1, 1)
    assert message.startswith("error: ")
    assert str(workspace.recipes) in message


def test_an_invalid_feedback_file_is_refused_before_any_download(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(dataset, "load_split")
    status, message = call("teacher", "--feedback", str(tmp_path / "none.npz"))
    assert (status, message.count("\n")) == (2, 1)
    assert message.startswith(f"error: cannot read {tmp_path / 'none.npz'}: No such file")


def test_feedback_images_count_towards_a_batch(call: Any, tmp_path: Path) -> None:
    images = np.ones((1, 28, 28), np.uint8)
    np.savez(tmp_path / "c.npz", images=images, labels=images[0, 0, :1])
    status, message = call("student", "--limit", "58", "--feedback", str(tmp_path / "c.npz"))
    assert (status, message) == (2, "error: student: 59 images cannot fill a batch of 60\n")


@pytest.mark.parametrize("option", ["--epochs", "--limit"])
@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_an_option_must_be_a_positive_integer(call: Any, option: str, value: str) -> None:
    status, message = call("teacher", f"{option}={value}")
    assert status == 2
    assert f"{option}: expected a whole number from 1 on, got {value!r}" in message


def test_the_error_for_a_missing_data_set_is_one_line(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(name: str) -> Split:
        raise dataset.DatasetError("no data")

    monkeypatch.setattr(dataset, "load_split", unavailable)
    assert call("teacher") == (1, "error: no data\n")


def test_the_error_without_tensorflow_says_how_to_install_it(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    status, message = call("teacher")
    assert status == 1
    assert message.startswith(
        "error: training needs TensorFlow: pip install -r requirements-train.txt"
    )
    assert message.count("\n") == 1
