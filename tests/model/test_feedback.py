"""Files of corrections: valid ones, and those that are refused before they use memory."""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import feedback
from model.dataset import Split
from model.feedback import Feedback, FeedbackError, load_feedback, with_feedback, without_held_out
from tests.model.training import bars

FORMAT: Any = np.lib.format
IMAGES, LABELS = bars(20, np.random.default_rng(4))


def written(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **{"images": IMAGES, "labels": LABELS, **arrays})
    return path


def with_header(path: Path, shape: tuple[int, ...], dtype: str = "|u1") -> Path:
    """Returns a file whose headers declare larger arrays than it has."""
    header = io.BytesIO()
    description = {"descr": dtype, "fortran_order": False, "shape": shape}
    FORMAT.write_array_header_1_0(header, description)
    labels = io.BytesIO()
    FORMAT.write_array_header_1_0(labels, {**description, "shape": shape[:1]})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", header.getvalue())
        archive.writestr("labels.npy", labels.getvalue())
    return path


def refused(path: Path) -> str:
    with pytest.raises(FeedbackError) as refusal:
        load_feedback(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_images_and_labels_are_read_with_the_checksum_of_the_file(
    tmp_path: Path, save: Any
) -> None:
    path = tmp_path / "c.npz"
    save(path, images=IMAGES, labels=LABELS)
    found = load_feedback(path)
    assert np.array_equal(found.split.images, IMAGES)
    assert np.array_equal(found.split.labels, LABELS)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.facts() == {"sha256": found.sha256, "images": 20}


def test_corrections_are_appended_to_the_images_of_the_split(tmp_path: Path) -> None:
    found = load_feedback(written(tmp_path / "c.npz"))
    split = Split(np.zeros((2, 28, 28), np.uint8), np.array([7, 7], np.uint8))
    both = with_feedback(split, [found, found])
    assert both.labels.tolist() == [7, 7, *LABELS, *LABELS]
    assert np.array_equal(both.images[2:22], IMAGES)
    assert both.images.dtype == both.labels.dtype == np.uint8


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"images": IMAGES.reshape(20, 784)}, "images (20, 784)"),
        ({"images": IMAGES[0]}, "images (28, 28)"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "the file has 0 images"),
        ({"images": IMAGES / 255}, "an array is of float64"),
        ({"labels": LABELS.astype(np.int64)}, "an array is of int64"),
        ({"labels": LABELS[:19]}, "labels (19,)"),
        ({"labels": LABELS[:, None]}, "labels (20, 1)"),
        ({"labels": LABELS + 10}, "a label is 19"),
        ({"labels": np.array([{"a": 1}] * 20, object)}, "an array is of object"),
    ],
)
def test_the_error_for_other_arrays_describes_them(
    tmp_path: Path, arrays: Any, complaint: str
) -> None:
    message = refused(written(tmp_path / "c.npz", **arrays))
    assert complaint in message
    assert "from 0 to 9" in message or "the limit is" in message


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", b"\x93NUMPY\x01\x00"])
def test_the_error_for_other_files_says_what_is_expected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.npz").write_bytes(content)
    assert "expected a .npz file with images" in refused(tmp_path / "c.npz")


def test_a_file_without_one_of_the_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", images=IMAGES)
    assert "expected a .npz file with images" in refused(tmp_path / "c.npz")


@pytest.mark.parametrize("name", ["images", "images.npy", "more.npy"])
def test_a_file_with_more_than_the_arrays_is_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "c.npz")
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the name is there twice
        archive.writestr(name, b"x")
    assert "expected a .npz file with images" in refused(path)


def test_a_missing_file_and_a_folder_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot read" in refused(tmp_path / "none.npz")
    assert "cannot read" in refused(tmp_path)


@pytest.mark.parametrize("shape", [(2**40, 28, 28), (500_001, 28, 28), (20, 28, 28)])
def test_the_declared_size_of_an_array_is_checked(tmp_path: Path, shape: tuple[int, ...]) -> None:
    message = refused(with_header(tmp_path / "c.npz", shape))
    assert ("the limit is" if shape[0] > 20 else "expected a .npz file") in message


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "_MAX_BYTES", 1000)
    path = tmp_path / "c.npz"
    path.write_bytes(b"x" * 1001)
    monkeypatch.delattr(Path, "read_bytes")
    assert "1,001 bytes; the limit is 500,000 images" in refused(path)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "c.npz"
    save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    save(path, images=IMAGES[:1], labels=LABELS[:1])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        offset = data.draw(st.integers(0, len(content)))
        damage = data.draw(st.binary(max_size=4))
        content[offset : offset + data.draw(st.integers(0, 4))] = damage
    path.write_bytes(content)
    try:
        found = load_feedback(path)
    except FeedbackError as error:
        assert str(error)
    else:
        assert found.split.images.shape == (1, 28, 28)


def test_images_of_the_validation_and_test_splits_are_left_out() -> None:
    given = Feedback(Split(IMAGES, LABELS), "sum")
    validation, test = Split(IMAGES[:3], LABELS[:3]), Split(IMAGES[10:11], LABELS[10:11])
    left = without_held_out(given, (validation, test))
    assert len(left.split.labels) == 16
    assert np.array_equal(left.split.images[0], IMAGES[3])
    assert left.sha256 == "sum"
    with pytest.raises(FeedbackError, match="validation or test split"):
        without_held_out(given, (given.split,))
