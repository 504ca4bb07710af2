"""The augmentation of training images, and the order of batches."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.environments import ROOT, TRAINING_PYTHON, needs_tensorflow

pytestmark = [*needs_tensorflow, pytest.mark.xdist_group("augmentation")]

# Applies each kind of augmentation alone, none, and all of them. It also makes batches of images
# that differ in their ink.
PROGRAM = """
import sys
import numpy as np, tensorflow as tf
from model.augment import NUMBERS, augment
from model.batches import Share, batches
from model.config import Augmentation, Network, Recipe, Stage
from model.dataset import Split

found = {}
random = np.random.default_rng(6)
images = random.random((40, 28, 28)).astype(np.float32)
images[:20] *= random.random((20, 28, 28)) < 0.2
labels = np.eye(10, dtype=np.float32)[np.arange(40) % 10]
numbers = random.random((40, NUMBERS)).astype(np.float32)
found |= {"images": images, "labels": labels}
far = {
    "rotation": 15.0, "scale": 0.3, "shear": 0.3, "shift": 4.0, "elastic": 3.0, "thicken": 1.0,
    "erase": 1.0, "cutmix": 1.0, "mixup": 1.0,
}
hows = {name: Augmentation(**{name: much}) for name, much in far.items()}
hows |= {"none": Augmentation(), "all": Augmentation(**{**far, "erase": 0.5, "cutmix": 0.5})}
for name, how in hows.items():
    for again in ("", " again"):
        augmented, mixed = augment(images, labels, numbers, how)
        found |= {f"{name} images{again}": augmented, f"{name} labels{again}": mixed}

right = numbers.copy()
right[:, 4:6] = [1.0, 0.5]
found["moved"] = augment(images, labels, right, Augmentation(shift=2.0))[0]

ink = np.tile(np.float32([0.5, 1.0])[:, None, None], (20, 28, 28))
found["ink images"], found["ink labels"] = augment(ink, labels, numbers, hows["cutmix"])

count = 100
numbered = np.tile(np.arange(count, dtype=np.uint8)[:, None, None], (1, 28, 28))
split = Split(numbered, (np.arange(count) % 10).astype(np.uint8))

def stream(how, first=0, share=Share(), seed=1):
    recipe = Recipe("x", Network((Stage(8),)), how, seed=seed, epochs=3, batch=20)
    pixels, classes = zip(*batches(recipe, split, first, share))
    return np.stack(pixels), np.stack(classes)

plain, classes = stream(hows["none"])
found["order"] = np.rint(plain[:, :, 0, 0, 0] * 255).astype(int)
found["classes"] = classes
found["order of another seed"] = np.rint(stream(hows["none"], seed=2)[0][:, :, 0, 0, 0] * 255)
found["whole"], found["whole classes"] = stream(hows["all"])
found["from step 7"], _ = stream(hows["all"], first=7)
halves = [stream(hows["all"], share=Share(index, 2)) for index in range(2)]
found["halves"], found["halves' classes"] = (np.concatenate(each, axis=1) for each in zip(*halves))
np.savez(sys.argv[1], **found)
"""

KINDS = ["rotation", "scale", "shear", "shift", "elastic", "thicken", "erase", "cutmix", "mixup"]
Found = Mapping[str, Any]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    path = tmp_path_factory.mktemp("augmentation") / "found.npz"
    ran = subprocess.run(
        [TRAINING_PYTHON, "-c", PROGRAM, str(path)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    with np.load(Path(path)) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("kind", [*KINDS, "none", "all"])
def test_images_and_labels_keep_their_shapes_and_ranges(found: Found, kind: str) -> None:
    images, labels = found[f"{kind} images"], found[f"{kind} labels"]
    assert (images.shape, images.dtype) == ((40, 28, 28, 1), np.float32)
    assert (labels.shape, labels.dtype) == ((40, 10), np.float32)
    assert -1e-5 <= images.min() <= images.max() <= 1 + 1e-5
    assert labels.min() >= 0
    assert labels.sum(axis=1) == pytest.approx(np.ones(40), abs=1e-5)


def test_no_augmentation_changes_nothing(found: Found) -> None:
    assert found["none images"][..., 0] == pytest.approx(found["images"], abs=1e-5)
    assert np.array_equal(found["none labels"], found["labels"])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_every_image(found: Found, kind: str) -> None:
    far = np.abs(found[f"{kind} images"][..., 0] - found["images"]).max(axis=(1, 2))
    assert far.min() > 1e-3


@pytest.mark.parametrize("kind", [*KINDS, "all"])
def test_the_same_numbers_give_the_same_image(found: Found, kind: str) -> None:
    assert np.array_equal(found[f"{kind} images"], found[f"{kind} images again"])
    assert np.array_equal(found[f"{kind} labels"], found[f"{kind} labels again"])


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_blend_with_another_image_changes_labels(found: Found, kind: str) -> None:
    changed = (found[f"{kind} labels"] != found["labels"]).any()
    assert changed == (kind in ("cutmix", "mixup"))


def test_an_image_that_is_shifted_by_whole_pixels_stays_sharp(found: Found) -> None:
    assert found["moved"][:, :, :-2, 0] == pytest.approx(found["images"][:, :, 2:], abs=1e-5)
    assert found["moved"][:, :, -2:].max() < 1e-5


def test_an_erased_rectangle_is_blank_and_the_rest_is_unchanged(found: Found) -> None:
    before, after = found["images"][20:], found["erase images"][20:, ..., 0]
    gone = np.abs(after - before) > 1e-4
    assert np.abs(after[gone]).max() < 1e-4
    for hole in gone:
        rows, columns = hole.any(axis=1), hole.any(axis=0)
        assert hole.sum() > 0.95 * rows.sum() * columns.sum()


def test_a_rectangle_of_another_image_adds_its_share_of_the_ink_to_the_label(
    found: Found,
) -> None:
    images, labels = found["ink images"][..., 0], found["ink labels"]
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        neighbour = index ^ 1
        foreign = np.isclose(image, 0.5 if index % 2 else 1.0, atol=1e-4)
        assert label[neighbour % 10] == pytest.approx(image[foreign].sum() / image.sum(), abs=1e-3)


def test_a_blended_image_keeps_at_least_half_of_its_own(found: Found) -> None:
    own = found["mixup labels"][np.arange(40), np.arange(40) % 10]
    assert 0.5 <= own.min() < 0.8
    mixed = own[:, None, None] * found["images"]
    mixed += (1 - own[:, None, None]) * found["images"][np.arange(40) ^ 1]
    assert found["mixup images"][..., 0] == pytest.approx(mixed, abs=1e-4)


def test_each_epoch_shows_every_image_once_in_another_order(found: Found) -> None:
    epochs = found["order"].reshape(3, 100)
    assert np.array_equal(np.sort(epochs), np.tile(np.arange(100), (3, 1)))
    assert len(np.unique(epochs, axis=0)) == 3


def test_images_come_with_their_labels(found: Found) -> None:
    assert np.array_equal(found["classes"].argmax(axis=-1), found["order"] % 10)


def test_another_seed_gives_another_order(found: Found) -> None:
    assert not np.array_equal(found["order"], found["order of another seed"])


def test_a_resumed_run_gets_the_same_batches(found: Found) -> None:
    assert len(found["whole"]) == 15
    assert np.array_equal(found["from step 7"], found["whole"][7:])


def test_two_processes_get_the_same_batches_together_as_one(found: Found) -> None:
    assert found["halves"] == pytest.approx(found["whole"], abs=1e-4)
    assert found["halves' classes"] == pytest.approx(found["whole classes"], abs=1e-4)
