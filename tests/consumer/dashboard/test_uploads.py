"""Uploaded files: pictures, archives, and other files."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from consumer.dashboard import uploads
from consumer.dashboard.uploads import Picture, RefusedFile, pictures, shortened
from producer.bundled_samples import SAMPLES, load_samples
from tests.support.poison import png_that_unpacks_to, truncated_png

SAMPLE = (SAMPLES / "sample_0.jpg").read_bytes()


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def refusals(name: str, content: bytes) -> list[str]:
    found = list(pictures(name, content))
    assert all(isinstance(each, RefusedFile) for each in found)
    return [each.why for each in found if isinstance(each, RefusedFile)]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_picture_of_any_format_becomes_28_x_28(kind: str) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(SAMPLE)).convert("RGB").resize((300, 200)).save(buffer, kind)
    (found,) = pictures("one", buffer.getvalue())
    assert isinstance(found, Picture)
    assert found.image.shape == (28, 28)
    assert found.image.dtype == np.uint8


def test_a_zip_is_read_and_other_files_in_it_are_refused() -> None:
    content = archive(**{"a.jpg": SAMPLE, "notes.txt": b"no picture", "in.zip": archive(b=b"c")})
    good, notes, nested = pictures("all.zip", content)
    assert isinstance(good, Picture)
    assert good.name == "all.zip/a.jpg"
    assert np.array_equal(
        good.image, load_samples().images[load_samples().names.index("sample_0.jpg")]
    )
    assert isinstance(notes, RefusedFile)
    assert isinstance(nested, RefusedFile)
    assert "ZIP in a ZIP" in nested.why


def test_too_large_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_FILE_BYTES", 100_000)
    monkeypatch.setattr(uploads, "MOST_ZIP_BYTES", 250_000)
    assert refusals("big.png", bytes(100_001)) == ["more than 0 MiB"]
    bomb = archive(**{f"{n}.png": bytes(100_001) for n in range(5)})
    assert len(bomb) < 5000
    assert refusals("bomb.zip", bomb)[-1] == "more than 0 MiB in it"
    assert len(refusals("bomb.zip", bomb)) == 3
    monkeypatch.setattr(uploads, "MOST_ZIP_ENTRIES", 3)
    assert refusals("many.zip", bomb) == ["more than 3 files in it"]


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", SAMPLE[:300], truncated_png(), png_that_unpacks_to(20_000, 20_000)],
)
def test_the_error_of_a_broken_or_huge_file_is_one_line(content: bytes) -> None:
    (why,) = refusals("broken", content)
    assert why
    assert "\n" not in why


@given(st.binary(max_size=300), st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_at_most_refused(extra: bytes, at: int, patch: bytes) -> None:
    whole = archive(**{"a.jpg": SAMPLE[:2000]})
    damaged = whole[:at] + patch + whole[at + len(patch) :] + extra
    for content in (damaged, extra, b"\x89PNG\r\n\x1a\n" + extra):
        assert all(isinstance(each, Picture | RefusedFile) for each in pictures("x", content))


@given(st.text())
def test_a_name_is_one_short_line(name: str) -> None:
    short = shortened(name)
    assert 0 < len(short) <= 201
    assert short.isprintable()
