"""Training from the command line: runs, what they leave behind, and how they end."""

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

# In the third epoch, before that is written down, Ctrl-C is pressed, or the machine fails.
END_EARLY = """
import os, signal
from model.progress import Progress
tell = Progress.epoch_done
def tell_and_end(self, *said):
    tell(self, *said)
    if self._epoch == 3:
        {end}
Progress.epoch_done = tell_and_end
"""
STOP = END_EARLY.format(end="signal.raise_signal(signal.SIGINT)") + TRAIN
FAIL = END_EARLY.format(end="os._exit(9)") + TRAIN

# A run that was stopped before, and its artefact, for which a few outliers must do.
GO_ON = """
from model import detector, export
detector._PICTURES = 100
recipe, recipes, runs, out = sys.argv[1:]
call(train, recipe, "--recipes", recipes, "--runs", runs)
call(export, recipe, "--recipes", recipes, "--runs", runs, "--out", out)
write_weights(runs)
"""

# The pupil, whose teacher was stopped before; and that teacher again, without a stop.
TEACH = (
    GO_ON
    + """
calm = str(Path(runs).with_name("calm"))
call(train, "master", "--recipes", recipes, "--runs", calm)
write_weights(calm)
"""
)

# What a white picture is taken for once it was trained on, and after how many steps an epoch ends.
ASK_OF_WHITE = """
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

ONE_OF_TWO = """
call(train, *sys.argv[1:])
if '"type": "chief"' in __import__("os").environ["TF_CONFIG"]:
    write_weights(sys.argv[-1])
"""

pytestmark = [
    pytest.mark.xdist_group("training"),  # one worker makes what all of them look at
    pytest.mark.timeout(300),  # whichever comes first waits for all trainings
]


@dataclass(frozen=True)
class Place:
    """Where a data set, recipes and runs are."""

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
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("training"))
    made.data.mkdir()
    write_data(made.data)
    made.recipes.write_text(RECIPES, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def stopped(place: Place) -> tuple[int, str]:
    """The exit status and the last words of a training of `single` that Ctrl-C ends."""
    return stop(place, "single", "stopped")


@pytest.fixture(scope="module")
def resumed(place: Place, stopped: tuple[int, str]) -> list[str]:
    """Lines that were shown when `single` was trained from there on."""
    return go_on(place, GO_ON, "single", "stopped")


@pytest.fixture(scope="module")
def taught(place: Place) -> list[str]:
    """Lines that were shown when `pupil` was trained after its teacher was stopped.

    After them are those of `master`, trained once more without a stop.
    """
    stop(place, "master", "taught")
    return go_on(place, TEACH, "pupil", "taught")


@pytest.fixture(scope="module", params=["single", pytest.param("pupil", marks=pytest.mark.full)])
def trained(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A recipe that was trained and exported, and the folder of its runs."""
    fixture, runs = {"single": ("resumed", "stopped"), "pupil": ("taught", "taught")}[request.param]
    request.getfixturevalue(fixture)
    return request.param, runs


def stop(place: Place, recipe: str, runs: str) -> tuple[int, str]:
    """Has Ctrl-C end a training; returns its exit status and what it wrote to stderr."""
    options = (recipe, "--recipes", place.recipes, "--runs", place.folder / runs)
    status, _, complaints = ended(start(STOP, *options, data=place.data))
    assert list((place.run(recipe, runs) / "checkpoints").iterdir())
    assert not (place.run(recipe, runs) / "model.keras").exists()
    # As a disk that was full leaves it.
    (place.run(recipe, runs) / "seconds.json").write_text("")
    return status, complaints


def go_on(place: Place, program: str, recipe: str, runs: str) -> list[str]:
    """Runs a program on runs of which one was stopped; returns the lines about epochs."""
    folders = [place.folder / name for name in (runs, f"{recipe}-artefact")]
    status, _, said = ended(start(program, recipe, place.recipes, *folders, data=place.data))
    assert status == 0, said
    return epochs_of(said)


def begun(lines: list[str]) -> list[tuple[str, str]]:
    """The recipe and the epoch that each line is about."""
    return [(line.split("-")[0], line.split()[2]) for line in lines]


def epochs_of(said: str) -> list[str]:
    return [line for line in said.splitlines() if "epoch" in line]


def losses(lines: list[str]) -> list[float]:
    return [float(line.split("loss ")[1].split(",")[0]) for line in lines]


@with_tensorflow
def test_ctrl_c_ends_a_run_with_one_line_that_says_how_to_go_on(stopped: tuple[int, str]) -> None:
    status, said = stopped
    *epochs, last = said.splitlines()
    assert status == 130
    assert last == "stopped; the same command goes on from the last checkpoint"
    assert [line.split()[1:3] for line in epochs] == [["epoch", f"{i}/4,"] for i in (1, 2, 3)]


@with_tensorflow
def test_a_run_that_was_stopped_goes_on_from_its_last_checkpoint(resumed: list[str]) -> None:
    assert begun(resumed) == [("single", "3/4,"), ("single", "4/4,")]


@pytest.mark.full
@with_tensorflow
def test_a_teacher_that_was_stopped_goes_on_before_its_pupil_begins(taught: list[str]) -> None:
    epochs = begun(taught)
    assert epochs[:2] == [("master", "3/4,"), ("master", "4/4,")]
    assert epochs[2:6] == [("pupil", f"{i}/4,") for i in (1, 2, 3, 4)]


@pytest.mark.full
@with_tensorflow
def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(
    place: Place, taught: list[str]
) -> None:
    pairs = zip(place.weights("master", "taught"), place.weights("master", "calm"), strict=True)
    for found, wanted in pairs:
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4)


@with_tensorflow
def test_a_run_says_what_made_its_model(place: Place, trained: tuple[str, str]) -> None:
    recipe, runs = trained
    facts = place.facts(recipe, runs)
    assert facts["run"] == place.run(recipe, runs).name
    if recipe == "pupil":
        assert facts["teachers"] == [place.run("master", runs).name]
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
def test_a_run_can_be_watched_in_tensorboard(place: Place, trained: tuple[str, str]) -> None:
    files = list((place.run(*trained) / "tensorboard").glob("events.*"))
    # `single` was stopped once.
    assert len(files) == (2 if trained[0] == "single" else 1)
    content = b"".join(path.read_bytes() for path in files)
    assert content.count(b"loss") >= 4
    assert content.count(b"validation accuracy") >= 4


@with_tensorflow
def test_an_artefact_answers_as_its_run_was_taught_and_names_it(
    place: Place, trained: tuple[str, str]
) -> None:
    recipe, runs = trained
    folder = place.folder / f"{recipe}-artefact"
    artefact = read_artefact(folder)
    assert artefact.variant == recipe
    assert artefact.made_by["run"] == place.facts(recipe, runs)
    images, labels = bars(200, np.random.default_rng(8))
    answers = Classifier(artefact.content).answers(images)
    assert (answers.probabilities.argmax(axis=1) == labels).mean() > 0.8
    assert answers.outlier is not None
    assert answers.outlier.mean() < 0.5
    kept = (folder / "model.keras").stat().st_size
    assert kept == pytest.approx((place.run(recipe, runs) / "model.keras").stat().st_size, rel=0.01)


@pytest.mark.full
@with_tensorflow
def test_corrections_are_trained_on_in_a_run_of_their_own(place: Place, taught: list[str]) -> None:
    # What the data set has nothing of: all white is the last class.
    white = np.full((120, 28, 28), 255, np.uint8)
    corrections = place.folder / "corrections.npz"
    np.savez_compressed(corrections, images=white, labels=np.full(120, 9, np.uint8))
    runs = place.folder / "corrected"
    options = ("master", "--recipes", place.recipes, "--runs", runs, "--feedback", corrections)
    status, _, said = ended(start(ASK_OF_WHITE, *options, data=place.data))
    assert status == 0, said
    facts = place.facts("master", "corrected")
    assert facts["run"] == place.run("master", "corrected").name
    assert facts["run"] != place.run("master", "calm").name
    sha256 = hashlib.sha256(corrections.read_bytes()).hexdigest()
    assert facts["feedback"] == [{"sha256": sha256, "images": 120}]
    assert facts["images"] == TRAIN_IMAGES
    assert place.facts("master", "calm")["feedback"] == []
    answers = json.loads((runs / "answer.json").read_text())
    assert answers["label"] == 9
    assert answers["steps"] == (TRAIN_IMAGES + 120) // 60


@pytest.mark.full
@with_tensorflow
def test_two_processes_train_the_network_that_one_trains(place: Place, taught: list[str]) -> None:
    said = together(place, "together", ONE_OF_TWO, ONE_OF_TWO)
    assert [status for status, _, _ in said] == [0, 0], said
    for _, _, each in said:
        assert losses(epochs_of(each)) == pytest.approx(losses(taught[6:]), rel=1e-3)
    assert_alike(place.weights("master", "together"), place.weights("master", "calm"))
    assert len(list((place.run("master", "together") / "tensorboard").iterdir())) == 1


@pytest.mark.full
@with_tensorflow
def test_two_processes_go_on_after_one_was_lost(place: Place, taught: list[str]) -> None:
    (status, _, complaints), (lost, _, _) = together(place, "lost", TRAIN, FAIL)
    assert (status, lost) == (1, 9)
    assert "Traceback" not in complaints
    assert "error: another process is gone: start all of them again" in complaints
    said = together(place, "lost", ONE_OF_TWO, ONE_OF_TWO)
    assert [status for status, _, _ in said] == [0, 0], said
    assert "epoch 1/4" not in said[0][2]
    assert_alike(place.weights("master", "lost"), place.weights("master", "calm"))


def together(place: Place, runs: str, chief: str, worker: str) -> list[tuple[int, str, str]]:
    """Train `master` in two processes; returns how each of them ended."""
    programs = {"chief": chief, "worker": worker}
    cluster = {role: [f"127.0.0.1:{free_port()}"] for role in programs}
    options = ["master", "--recipes", str(place.recipes), "--runs", str(place.folder / runs)]
    processes = []
    for role, program in programs.items():
        task = json.dumps({"cluster": cluster, "task": {"type": role, "index": 0}})
        processes.append(start(program, *options, data=place.data, TF_CONFIG=task))
    return [ended(process) for process in processes]


def assert_alike(weights: list[Any], wanted: list[Any]) -> None:
    """All together: how far a few small ones differ depends on the processor's order of sums.

    Seen: 0.002 where all is well, 0.03 where batches' statistics aren't shared.
    """
    found, right = (np.concatenate([each.ravel() for each in some]) for some in (weights, wanted))
    assert np.linalg.norm(found - right) < 0.006 * np.linalg.norm(right)


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Any:
    """Calls the command line where there are 100 images; returns exit status and complaint."""
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


def test_a_wrong_name_is_refused_before_anything_is_downloaded(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(dataset, "load_split")
    assert call("mater") == (
        2,
        "error: no recipe is named mater; there are master, pupil, single\n",
    )


def test_fewer_images_than_a_batch_are_refused(call: Any) -> None:
    assert call("pupil", "--limit", "59") == (2, "error: pupil: 59 images are no batch of 60\n")


def test_a_place_that_cannot_be_written_is_told_before_anything_is_computed(
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
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1


def test_a_batch_that_processes_cannot_share_is_refused(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1", "d:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
    status, said = call("master")
    assert status == 2
    assert said == "error: master: a batch of 60 is no even number for each of 4 processes\n"


@pytest.mark.parametrize("said", ["{oops", "[]", '{"cluster": []}', '{"cluster": {"chief": 1}}'])
def test_a_setting_that_names_no_processes_is_refused(
    call: Any, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", said)
    status, told = call("master")
    assert status == 2
    assert told.startswith("error: TF_CONFIG: expected JSON such as {")
    assert told.endswith(f"got {said!r}\n")


@with_tensorflow
def test_a_process_that_is_not_among_those_named_is_told_so(place: Place) -> None:
    config = {"cluster": {"chief": ["127.0.0.1:1"]}, "task": {"type": "chief", "index": 7}}
    options = ["master", "--recipes", str(place.recipes), "--runs", str(place.folder / "none")]
    process = start(TRAIN, *options, data=place.data, TF_CONFIG=json.dumps(config))
    status, _, said = ended(process)
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith("error: TF_CONFIG: ")


@with_tensorflow
def test_a_folder_for_runs_that_cannot_be_made_is_told_in_one_line(place: Place) -> None:
    options = ["master", "--recipes", str(place.recipes), "--runs", str(place.recipes / "runs")]
    status, _, said = ended(start(TRAIN, *options, data=place.data))
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith("error: ")
    assert str(place.recipes) in said


def test_a_file_that_is_no_feedback_is_refused_before_anything_is_downloaded(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(dataset, "load_split")
    status, said = call("master", "--feedback", str(tmp_path / "none.npz"))
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith(f"error: cannot read {tmp_path / 'none.npz'}: No such file")


def test_images_of_feedback_count_towards_a_batch(call: Any, tmp_path: Path) -> None:
    images = np.ones((1, 28, 28), np.uint8)
    np.savez(tmp_path / "c.npz", images=images, labels=images[0, 0, :1])
    status, said = call("pupil", "--limit", "58", "--feedback", str(tmp_path / "c.npz"))
    assert (status, said) == (2, "error: pupil: 59 images are no batch of 60\n")


@pytest.mark.parametrize("option", ["--epochs", "--limit"])
@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_numbers_that_make_no_run_are_refused(call: Any, option: str, value: str) -> None:
    status, said = call("master", f"{option}={value}")
    assert status == 2
    assert f"{option}: expected a whole number from 1 on, got {value!r}" in said


def test_a_data_set_that_cannot_be_had_is_told_in_one_line(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(name: str) -> Split:
        raise dataset.DatasetError("no data")

    monkeypatch.setattr(dataset, "load_split", away)
    assert call("master") == (1, "error: no data\n")


def test_without_tensorflow_one_is_told_how_to_install_it(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    status, said = call("master")
    assert status == 1
    assert said.startswith(
        "error: training needs TensorFlow: pip install -r requirements-train.txt"
    )
    assert said.count("\n") == 1
