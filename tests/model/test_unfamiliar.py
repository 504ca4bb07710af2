"""The selection of images that resemble those of unknown writers."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from model.unfamiliar import distances
from tests.support.environments import ROOT, TRAINING_PYTHON, with_tensorflow
from tests.support.patience import patient

# Half of the validation images are copies of training images; the recipe distorts and mixes.
PROGRAM = """
import sys
import numpy as np
from model.config import Augmentation, Network, Recipe, Stage
from model.dataset import Split
from model.unfamiliar import unfamiliar

random = np.random.default_rng(6)
train = Split(random.integers(0, 256, (60, 28, 28), np.uint8), np.arange(60) % 10)
images = random.integers(0, 256, (20, 28, 28), np.uint8)
images[::2] = train.images[:10]
validation = Split(images, np.arange(20) % 10)
for name, how in {
    "still": Augmentation(cutmix=1.0, mixup=1.0),
    "distorted": Augmentation(rotation=10.0, shift=2.0),
}.items():
    network = Network((Stage(channels=8),))
    made = unfamiliar(validation, train, Recipe("a", network, how))
    again = unfamiliar(validation, train, Recipe("a", network, how))
    assert (made.images == again.images).all()
    np.savez(sys.argv[1] + name, images=made.images, labels=made.labels, new=images[1::2])
"""


def test_the_distance_is_that_of_the_nearest_image() -> None:
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (7, 28, 28), np.uint8)
    others = random.integers(0, 256, (1_100, 28, 28), np.uint8)
    others[900] = images[4]
    apart = (images[:, None].astype(float) - others[None]) / 255
    expected = np.sqrt((apart**2).sum(axis=(2, 3))).min(axis=1)
    np.testing.assert_allclose(distances(images, others), expected, atol=0.02)


@pytest.mark.full
@with_tensorflow
def test_images_without_a_twin_are_selected_and_distorted_but_never_mixed(tmp_path: Path) -> None:
    command = [str(TRAINING_PYTHON), "-c", PROGRAM, f"{tmp_path}/"]
    subprocess.run(command, check=True, cwd=ROOT, timeout=patient(120))
    still, distorted = np.load(tmp_path / "still.npz"), np.load(tmp_path / "distorted.npz")
    assert np.array_equal(still["images"], np.repeat(still["new"], 4, axis=0))
    assert np.array_equal(still["labels"], np.repeat(np.arange(20)[1::2] % 10, 4))
    assert np.array_equal(distorted["labels"], still["labels"])
    copies = distorted["images"].reshape(10, 4, -1)
    assert all(len(np.unique(four, axis=0)) == 4 for four in copies)
