"""The conversion of any picture of a character to 28 x 28 pixels in the form of the data set."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from producer.picture import BadPicture, to_kmnist


def drawing(size: tuple[int, int] = (200, 120), paper: int = 255, ink: int = 0) -> Image.Image:
    """Draws a hook that is wider than high, left of the centre."""
    picture = Image.new("L", size, paper)
    pen = ImageDraw.Draw(picture)
    pen.line([(20, 30), (100, 30), (100, 70)], fill=ink, width=9, joint="curve")
    return picture


EXPECTED = to_kmnist(drawing())


def difference(image: Any) -> float:
    return float(np.abs(image.astype(int) - EXPECTED).mean())


def test_ink_is_white_and_centred_and_as_large_as_in_the_data_set() -> None:
    assert EXPECTED.shape == (28, 28)
    assert EXPECTED.dtype == np.uint8
    ink = EXPECTED > 64
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert columns[-1] - columns[0] + 1 in (27, 28)
    assert rows[-1] - rows[0] + 1 in (14, 15)
    assert abs((rows[0] + rows[-1]) / 2 - 13.5) <= 0.5
    assert EXPECTED[0].max() == 0
    assert EXPECTED.max() > 240


def test_white_on_black_gives_the_same_as_black_on_white() -> None:
    assert difference(to_kmnist(drawing(paper=0, ink=255))) < 1


def test_faint_ink_on_grey_paper_gives_the_same() -> None:
    assert difference(to_kmnist(drawing(paper=200, ink=120))) < 1


def test_the_position_on_the_paper_makes_no_difference() -> None:
    moved = Image.new("L", (500, 400), 255)
    moved.paste(drawing(), (250, 200))
    assert difference(to_kmnist(moved)) == 0


def test_a_larger_picture_gives_about_the_same() -> None:
    large = drawing().resize((3000, 1800), Image.Resampling.BICUBIC)
    assert difference(to_kmnist(large)) < 4


MODES = [
    "RGB",
    "RGBA",
    "RGBa",
    "LA",
    "P",
    "PA",
    "1",
    "I;16",
    "I",
    "I;16 as I",
    "F",
    "F to 1",
    "CMYK",
]


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    levels = np.asarray(picture)
    if mode == "I;16":
        return Image.fromarray(levels.astype(np.uint16) * 257)
    if mode == "I;16 as I":
        return Image.fromarray(levels.astype(np.int32) * 257)
    if mode == "F to 1":
        return Image.fromarray(levels.astype(np.float32) / 255)
    return picture.convert("RGBA").convert(mode) if mode == "RGBa" else picture.convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_every_colour_mode_gives_the_same(mode: str) -> None:
    assert difference(to_kmnist(in_mode(drawing(), mode))) < 1
    large = drawing().resize((3000, 1800), Image.Resampling.NEAREST)
    assert difference(to_kmnist(in_mode(large, mode))) < 4


@pytest.mark.parametrize("size", [(40, 40), (28, 28), (2000, 9)])
@pytest.mark.parametrize("mode", ["LAB", "La", "HSV", "YCbCr"])
def test_a_mode_that_is_not_grey_or_colour_is_converted_or_refused(
    mode: str, size: tuple[int, int]
) -> None:
    picture = Image.new(mode, size)
    picture.paste(Image.new(mode, (3, 3), 128), (2, 2))
    try:
        assert to_kmnist(picture).shape == (28, 28)
    except BadPicture as refusal:
        assert "can't be converted" in str(refusal) or "no ink" in str(refusal)


def test_ink_on_transparent_paper_gives_the_same() -> None:
    clear = Image.new("RGBA", (200, 120), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0), Image.eval(drawing(), lambda level: 255 - level))
    assert difference(to_kmnist(clear)) < 1


def test_bytes_and_paths_are_read(tmp_path: Path) -> None:
    path = tmp_path / "hook.png"
    drawing().save(path)
    assert difference(to_kmnist(path)) == 0
    assert difference(to_kmnist(str(path))) == 0
    assert difference(to_kmnist(path.read_bytes())) == 0


def test_a_jpeg_photograph_with_noise_gives_about_the_same() -> None:
    noise = np.random.default_rng(3).normal(0, 4, (120, 200))
    noisy = np.clip(np.asarray(drawing(paper=225, ink=30)) + noise, 0, 255).astype(np.uint8)
    sink = io.BytesIO()
    Image.fromarray(noisy).save(sink, "JPEG", quality=75)
    assert difference(to_kmnist(sink.getvalue())) < 4


@given(arrays(np.uint8, (28, 28)))
def test_an_image_of_the_data_set_is_unchanged_or_inverted(image: Any) -> None:
    converted = to_kmnist(Image.fromarray(image))
    assert np.array_equal(converted, image) or np.array_equal(converted, 255 - image)
    assert np.array_equal(to_kmnist(Image.fromarray(converted)), converted)


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_small_pictures_raise_no_other_exception(
    width: int, height: int, data: st.DataObject
) -> None:
    pixels = data.draw(arrays(np.uint8, (height, width)))
    try:
        assert to_kmnist(Image.fromarray(pixels)).shape == (28, 28)
    except BadPicture as refusal:
        assert "no ink" in str(refusal)


def test_empty_paper_is_refused() -> None:
    with pytest.raises(BadPicture, match="shows no ink"):
        to_kmnist(Image.new("RGB", (100, 100), "white"))


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (4097, 4097)).save(path)
    with pytest.raises(BadPicture, match="4096 x 4096"):
        to_kmnist(path)
    with pytest.raises(BadPicture, match="4096 x 4096"):
        to_kmnist(Image.new("1", (4097, 4097)))


def test_the_error_for_a_broken_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    drawing().save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadPicture, match=r"cut\.png is broken or cut off"):
        to_kmnist(path)
    with pytest.raises(BadPicture, match="cannot read the picture"):
        to_kmnist(b"not a picture")
    with pytest.raises(BadPicture, match=r"cannot read .*absent\.png"):
        to_kmnist(tmp_path / "absent.png")


def test_a_format_without_a_size_in_its_header_is_refused() -> None:
    hidden = io.BytesIO()
    Image.new("L", (16, 16)).save(hidden, "ICO")
    with pytest.raises(BadPicture, match="cannot read"):
        to_kmnist(hidden.getvalue())
