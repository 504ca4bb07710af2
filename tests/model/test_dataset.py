"""The data set: where it is found, its download and its format."""

import functools
import gzip
import hashlib
import http.server
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import dataset
from tests.model.data import needs_data
from tests.support.patience import promised


def idx(array: Any) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


IMAGES = np.random.default_rng(1).integers(0, 256, (30, 28, 28)).astype(np.uint8)
LABELS = np.arange(30, dtype=np.uint8) % 10
FILES = {
    "train-images-idx3-ubyte.gz": idx(IMAGES),
    "train-labels-idx1-ubyte.gz": idx(LABELS),
    "t10k-images-idx3-ubyte.gz": idx(IMAGES[:5]),
    "t10k-labels-idx1-ubyte.gz": idx(LABELS[:5]),
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data set of 30 training and 5 test images; its cache folder does not exist yet."""
    sums = {name: hashlib.md5(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(dataset, "MD5", sums)
    monkeypatch.setattr(dataset, "VALIDATION", 10)
    monkeypatch.setattr(dataset, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(dataset, "SITE", "http://127.0.0.1:9/")
    monkeypatch.delenv("KMNIST_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def site(small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder that replaces the official site, over HTTP."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(dataset, "SITE", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


def test_missing_files_are_downloaded_once(site: Path, small: Path) -> None:
    split = dataset.load_split("test")
    assert np.array_equal(split.images, IMAGES[:5])
    assert np.array_equal(split.labels, LABELS[:5])
    assert {path.name for path in small.iterdir()} == {n for n in FILES if n.startswith("t10k")}
    for path in site.iterdir():
        path.unlink()
    assert np.array_equal(dataset.load_split("test").images, IMAGES[:5])


def test_validation_is_the_end_of_the_training_file(site: Path) -> None:
    assert np.array_equal(dataset.load_split("train").images, IMAGES[:20])
    assert np.array_equal(dataset.load_split("validation").images, IMAGES[20:])
    assert np.array_equal(dataset.load_split("validation").labels, LABELS[20:])


def test_the_folder_in_kmnist_data_is_read_and_not_written(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("KMNIST_DATA", str(tmp_path))
    assert len(dataset.load_split("train").labels) == 20
    assert not small.exists()


def test_a_folder_without_the_files_is_named_in_the_error(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMNIST_DATA", str(tmp_path))
    with pytest.raises(dataset.DatasetError, match=r"t10k-images.* is missing: put the four"):
        dataset.load_split("test")


def test_the_error_of_a_failed_download_says_what_to_do(small: Path) -> None:
    with pytest.raises(dataset.DatasetError, match="set KMNIST_DATA to a folder"):
        dataset.load_split("test")
    assert list(small.iterdir()) == []


def test_a_download_with_other_content_is_deleted(site: Path, small: Path) -> None:
    (site / "t10k-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(dataset.DatasetError, match="the official one is"):
        dataset.load_split("test")
    assert list(small.iterdir()) == []


def test_a_file_that_is_not_the_official_one_is_named(site: Path, small: Path) -> None:
    dataset.fetch("test")
    (small / "t10k-labels-idx1-ubyte.gz").write_bytes(b"cut off")
    with pytest.raises(dataset.DatasetError, match=r"t10k-labels.*delete it"):
        dataset.load_split("test")


def test_available_downloads_the_test_split(site: Path) -> None:
    assert not dataset.cached("test")
    assert dataset.available(timeout=5)
    assert dataset.cached("test")


def test_available_is_false_after_the_timeout(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(60)

        def log_message(self, *args: Any) -> None:
            """Keeps the test's output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(dataset, "SITE", f"http://127.0.0.1:{server.server_port}/")
        started = time.monotonic()
        assert not dataset.available(timeout=0.5)
        assert time.monotonic() - started < promised(2)
        server.shutdown()


@needs_data
def test_the_official_splits_are_balanced_and_complete() -> None:
    for name, count in (("train", 50_000), ("validation", 10_000), ("test", 10_000)):
        split = dataset.load_split(name)  # type: ignore[arg-type]
        assert split.images.shape == (count, 28, 28)
        assert split.images.dtype == np.uint8
        assert np.bincount(split.labels, minlength=10).min() > count * 0.09
