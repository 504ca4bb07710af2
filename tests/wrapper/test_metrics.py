"""The supervisor's `/metrics` shows the model's metrics of all workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.parser import text_string_to_metric_families

from model.artefacts import Artefact, write_artefact
from model.chosen import chosen_artefact
from model.drift_reference import STATISTICS, reference
from model.labels import HIRAGANA, ROMAJI
from producer.bundled_samples import load_samples
from seldon_kafka.pipeline.load_class import load_class
from tests.seldon_kafka.test_http import Port
from wrapper import KmnistClassifier

ROOT = Path(__file__).resolve().parents[2]
IMAGES = load_samples().images
REPETITIONS = 6  # of 100 images: enough for a drift index

# It behaves like a worker of the supervisor: with the folder for metrics, and its own process id.
WORKER = """
import os, sys
import numpy as np
from seldon_kafka.pipeline.load_class import load_class
images = np.load(sys.argv[1])
served = load_class(sys.argv[2])
for _ in range(int(sys.argv[3])):
    served.predict_rows(images, [])
print(os.getpid())
"""


@pytest.fixture
def artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artefact:
    """The default model, with a threshold at which it abstains for half of the samples.

    Its reference for drift has blank images.
    """
    monkeypatch.delenv("MODEL_URI", raising=False)
    shipped = chosen_artefact()
    answer = KmnistClassifier().predict(IMAGES)
    monkeypatch.setenv("MODEL_URI", str(tmp_path / "model"))
    return write_artefact(
        tmp_path / "model",
        shipped.file,
        shipped.content,
        variant="watched",
        abstain_below=float(np.median(answer.tags["confidence"])),
        made_by={},
        outlier_above=shipped.outlier_above,
        # The statistics match the samples, except for ink, which expects blank images.
        reference=reference(IMAGES, answer.data) | reference_of_blank(),
    )


def reference_of_blank() -> dict[str, list[float]]:
    return {"ink": reference(np.zeros((1, 28, 28)), np.ones((1, 10)))["ink"]}


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    (tmp_path / "metrics").mkdir()
    port = Port(tmp_path / "metrics")
    yield port
    port.server.stop()


def work(
    folder: Path, class_name: str = "wrapper.KmnistClassifier", repetitions: int = REPETITIONS
) -> int:
    """Answers the samples in another process, and returns its id."""
    np.save(folder / "images.npy", IMAGES)
    ran = subprocess.run(
        [sys.executable, "-c", WORKER, str(folder / "images.npy"), class_name, str(repetitions)],
        cwd=ROOT,
        env={**os.environ, "prometheus_multiproc_dir": str(folder / "metrics")},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


def metrics(port: Port) -> dict[str, list[Any]]:
    """Returns the samples of `/metrics`, by name."""
    status, _, text = port.ask("GET", "/metrics")
    assert status == 200
    found: dict[str, list[Any]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def test_images_abstentions_and_outliers_of_all_workers_are_added_up(
    artefact: Artefact, port: Port, tmp_path: Path
) -> None:
    tags = KmnistClassifier().predict(IMAGES).tags
    work(tmp_path)
    work(tmp_path)
    found = metrics(port)
    by_label = {each.labels["label"]: each.value for each in found["model_images_total"]}
    assert by_label == {
        romaji: 2 * REPETITIONS * tags["label"].count(hiragana)
        for romaji, hiragana in zip(ROMAJI, HIRAGANA, strict=True)
    }
    (abstained,), (outliers,) = found["model_abstained_total"], found["model_outliers_total"]
    assert (
        0
        < abstained.value
        == 2 * REPETITIONS * sum(tags["abstain"])
        < 2 * REPETITIONS * len(IMAGES)
    )
    assert outliers.value == 2 * REPETITIONS * sum(tags.get("outlier", []))
    by_tenth = {
        each.labels["at_least"]: each.value for each in found["model_confidence_images_total"]
    }
    assert by_tenth["0.9"] == 2 * REPETITIONS * sum(each >= 0.9 for each in tags["confidence"])
    assert sum(by_tenth.values()) == 2 * REPETITIONS * len(IMAGES)


def test_each_live_worker_shows_the_drift_of_its_images(
    artefact: Artefact, port: Port, tmp_path: Path
) -> None:
    live, dead = work(tmp_path), work(tmp_path)
    mark_process_dead(dead, str(tmp_path / "metrics"))
    found = metrics(port)["model_drift_index"]
    assert {each.labels["pid"] for each in found} == {str(live)}
    index = {each.labels["statistic"]: each.value for each in found}
    assert set(index) == set(STATISTICS)
    assert index["ink"] > 0.25
    assert max(index["confidence"], index["class"]) < 0.01


def test_a_model_without_a_reference_shows_no_drift(port: Port, tmp_path: Path) -> None:
    work(tmp_path, "wrapper.KmnistBaseline")
    found = metrics(port)
    assert "model_drift_index" not in found
    assert sum(each.value for each in found["model_images_total"]) == REPETITIONS * len(IMAGES)


def test_a_class_with_metrics_is_still_row_wise() -> None:
    assert load_class("wrapper.KmnistClassifier").stacks
