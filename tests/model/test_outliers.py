"""Pictures that are no kuzushiji, for the outlier detector to learn from and to be tried on."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.outliers import KINDS, SCHOOLING, Sources, draw, training_sources, trial_sources

REAL = np.random.default_rng(5).integers(0, 256, (9, 28, 28)).astype(np.uint8)
COUNT = 12


@pytest.fixture(params=["training", "trial"])
def sources(request: pytest.FixtureRequest) -> Sources:
    return (training_sources if request.param == "training" else trial_sources)(REAL)


@pytest.mark.parametrize("kind", SCHOOLING)
def test_pictures_look_like_those_of_the_data_set(kind: str, sources: Sources) -> None:
    pictures = draw(kind, COUNT, sources)
    assert pictures.shape == (COUNT, 28, 28)
    assert pictures.dtype == np.uint8


@pytest.mark.parametrize("kind", SCHOOLING)
def test_pictures_are_the_same_each_time_and_differ_among_themselves(
    kind: str, sources: Sources
) -> None:
    pictures = draw(kind, COUNT, sources)
    assert np.array_equal(draw(kind, COUNT, sources), pictures)
    assert len(np.unique(pictures, axis=0)) > 1


@pytest.mark.parametrize("kind", SCHOOLING)
def test_another_seed_gives_other_pictures(kind: str) -> None:
    sources = training_sources(REAL)
    other = draw(kind, COUNT, dataclasses.replace(sources, seed=7))
    assert not np.array_equal(draw(kind, COUNT, sources), other)


def test_fewer_pictures_are_the_first_of_more() -> None:
    sources = training_sources(REAL)
    assert np.array_equal(draw("noise", 3, sources), draw("noise", COUNT, sources)[:3])


def test_the_detector_is_tried_on_no_file_that_it_learned_from() -> None:
    def files(sources: Sources) -> set[Path]:
        return {*sources.fonts, *sources.photographs}

    learned, tried = files(training_sources(REAL)), files(trial_sources(REAL))
    assert not learned & tried
    assert not {file.read_bytes() for file in learned} & {file.read_bytes() for file in tried}
    assert training_sources(REAL).seed != trial_sources(REAL).seed


def test_the_detector_is_tried_on_kinds_that_it_learned() -> None:
    assert set(KINDS) < set(SCHOOLING)


def test_both_uses_have_several_fonts_and_a_photograph(sources: Sources) -> None:
    assert len({file.stem.split("-")[0] for file in sources.fonts}) >= 3
    assert sources.photographs
    for file in sources.photographs:
        with Image.open(file) as picture:
            assert min(picture.size) > 28 * 2


@pytest.mark.parametrize("kind", ["digits", "latin letters"])
def test_characters_are_light_on_a_dark_ground_and_fill_the_picture(
    kind: str, sources: Sources
) -> None:
    pictures = draw(kind, COUNT, sources)
    rows = (pictures > 100).any(axis=2).sum(axis=1)
    assert np.median(rows) > 15
    assert (pictures[:, [0, 0, -1, -1], [0, -1, 0, -1]] < 100).mean() > 0.9
