"""The shipped models keep the promises of docs/model.md on the official test split."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from model import dataset
from model.artefacts import FLOAT, SHIPPED, Artefact, read_artefact
from model.chosen import VARIANTS
from model.evaluate import MODELS, load
from model.loader import Answers
from model.outliers import KINDS, draw, evaluation_sources
from model.quality import quality
from model.targets import ACCURACIES, AUROC, CALIBRATION_ERROR, FLAGGED, RIGHT, SIZE_BYTES
from tests.model.data import needs_data

DOCS = Path(__file__).resolve().parents[2] / "docs"

pytestmark = pytest.mark.xdist_group("shipped")  # answers are computed once, in one process

Shipped = tuple[str, Artefact, Any, dataset.Split, Answers]


FORMS = [f"{name}/{FLOAT}" for name in VARIANTS]  # served where int8 is slow
# The baseline takes half a minute. The float form is the same network as `accurate`.
SLOW = {"baseline", f"accurate/{FLOAT}"}


def with_slow_marked(names: Iterable[str]) -> list[Any]:
    """Returns names of models as parameters; the slow ones run only in `make test-full`."""
    full = pytest.mark.full
    return [pytest.param(each, marks=full) if each in SLOW else each for each in names]


of_networks = pytest.mark.parametrize(
    "shipped", with_slow_marked([*VARIANTS, *FORMS]), indirect=True
)
MISSED = {"fast", f"fast/{FLOAT}"}
"""Models that miss the calibration target, by 0.01 and 0.03 points."""


@pytest.fixture(scope="module", params=with_slow_marked([*MODELS, *FORMS]))
def shipped(request: pytest.FixtureRequest) -> Shipped:
    """A model, and its answers to the test split."""
    artefact, classifier = load(SHIPPED / request.param)
    split = dataset.load_split("test")
    return request.param, artefact, classifier, split, classifier.answers(split.images)


def figures(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCS / "model.json").read_text(encoding="utf-8"))
    for part in name.split("/"):
        found = found[part]
    return found


@needs_data
def test_the_accuracy_meets_its_target_and_matches_the_page(shipped: Shipped) -> None:
    name, artefact, _, split, answers = shipped
    found = quality(answers, split.labels, artefact)
    assert found["accuracy"] >= ACCURACIES[name.partition("/")[0]][0]
    assert found["right"] == pytest.approx(figures(name)["right"], abs=2)
    assert found["abstention"]["answered"] == pytest.approx(
        figures(name)["abstention"]["answered"], abs=1e-3
    )


@needs_data
@of_networks
def test_networks_are_calibrated_within_the_target(
    shipped: Shipped, request: pytest.FixtureRequest
) -> None:
    name, artefact, _, split, answers = shipped
    if name in MISSED:
        # The mark is strict: a model that reaches the target must be removed from MISSED.
        request.applymarker(pytest.mark.xfail(strict=True, reason="docs/model.md: missed"))
    assert quality(answers, split.labels, artefact)["calibration"]["error"] < CALIBRATION_ERROR


@needs_data
@of_networks
def test_networks_abstain_enough_and_flag_few_real_images(shipped: Shipped) -> None:
    name, artefact, _, split, answers = shipped
    found = quality(answers, split.labels, artefact)
    # The page says whether the error meets its target.
    assert found["calibration"]["error"] == pytest.approx(
        figures(name)["calibration"]["error"], abs=2e-4
    )
    assert found["abstention"]["accuracy"] >= RIGHT
    assert found["flagged"] <= FLAGGED


@needs_data
@of_networks
@pytest.mark.parametrize("kind", KINDS)
def test_networks_detect_each_kind_of_outlier(shipped: Shipped, kind: str) -> None:
    _, _, classifier, split, answers = shipped
    others = classifier.answers(draw(kind, 500, evaluation_sources(split.images)))
    assert answers.outlier is not None and others.outlier is not None
    scores = np.concatenate([answers.outlier, others.outlier])
    is_outlier = np.repeat([0, 1], [len(answers.outlier), len(others.outlier)])
    assert roc_auc_score(is_outlier, scores) >= AUROC


@pytest.mark.parametrize("name", [*MODELS, *FORMS])
def test_the_page_shows_the_artefact_that_ships(name: str) -> None:
    assert figures(name)["name"] == read_artefact(SHIPPED / name).name


@pytest.mark.parametrize("name", [*VARIANTS, *FORMS])
def test_files_are_small(name: str) -> None:
    assert read_artefact(SHIPPED / name).size_bytes < SIZE_BYTES
