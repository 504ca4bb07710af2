"""The payloads that the classes accept, and the errors for others."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from wrapper import picture_bytes
from wrapper.payload import BadPayload, stack_to_rows, to_rows

RANDOM = np.random.default_rng(7)
IMAGE = RANDOM.integers(0, 256, (28, 28)).astype(np.uint8)
IMAGES = RANDOM.integers(0, 256, (3, 28, 28)).astype(np.uint8)


def encoded(image: Any, kind: str = "PNG", mode: str | None = None) -> bytes:
    picture = Image.fromarray(image)
    sink = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(sink, kind)
    return sink.getvalue()


def png_that_claims(width: int, height: int, colour_type: int = 0) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (width + 1) * min(height, 100))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        (IMAGE, 1),
        (IMAGE.reshape(784), 1),
        (IMAGES, 3),
        (IMAGES[..., None], 3),
        (IMAGES.reshape(3, 784), 3),
        (IMAGES.tolist(), 3),
        (IMAGES.astype(np.float64), 3),
        (IMAGES.astype(np.int64), 3),
        (IMAGES.astype(">u2"), 3),
        (IMAGES[:, ::-1][:, ::-1], 3),
        (IMAGES.tobytes(), 3),
        (bytearray(IMAGES.tobytes()), 3),
        (encoded(IMAGE), 1),
    ],
)
def test_every_accepted_form_gives_the_same_pixels(payload: Any, count: int) -> None:
    rows = to_rows(payload)
    assert rows.dtype == np.uint8
    assert np.array_equal(rows, IMAGE[None] if count == 1 else IMAGES)


@given(arrays(np.uint8, (2, 28, 28)))
def test_floats_from_0_to_1_mean_the_same_as_bytes(images: Any) -> None:
    fractions = images.astype(np.float64) / 255
    assert np.array_equal(to_rows(fractions), images)
    assert np.array_equal(to_rows(fractions.astype(np.float32).tolist()), images)


@given(arrays(np.uint8, (2, 28, 28), elements=st.integers(0, 2)))
def test_rows_that_are_passed_in_again_are_not_scaled_again(images: Any) -> None:
    rows = to_rows(images)
    assert np.array_equal(to_rows(rows), rows)
    assert np.array_equal(to_rows(rows[:1]), rows[:1])


def test_integers_are_never_scaled_up() -> None:
    faint = np.ones((28, 28), np.int64)
    assert to_rows(faint).max() == 1
    assert to_rows(faint.astype(float)).max() == 255


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_a_picture_is_accepted_in_every_colour_mode(mode: str) -> None:
    assert np.array_equal(to_rows(encoded(IMAGE, mode=mode))[0], IMAGE)


def test_a_16_bit_picture_keeps_its_greys() -> None:
    assert np.array_equal(to_rows(encoded(IMAGE.astype(np.uint16) * 257))[0], IMAGE)


@given(
    arrays(np.uint8, (28, 28)),
    st.integers(0, 9),
    st.integers(0, 10_000),
    st.integers(0, 255),
)
def test_the_fast_decoder_of_grey_png_gives_the_results_of_pillow(
    image: Any, level: int, index: int, byte: int
) -> None:
    buffer = io.BytesIO()
    text = PngInfo()
    text.add_text("title", "a character")
    Image.fromarray(image).save(buffer, "PNG", compress_level=level, pnginfo=text)
    content = bytearray(buffer.getvalue())
    assert (picture_bytes.decode(bytes(content)) == image).all()
    content[index % len(content)] = byte
    assert decoded(bytes(content)) == decoded(bytes(content), fast=False)


def decoded(content: bytes, *, fast: bool = True) -> Any:
    """Returns the pixels of a picture as a list, or the reason of its refusal."""
    with pytest.MonkeyPatch.context() as patch:
        if not fast:
            patch.setattr(picture_bytes, "_plain_grey", lambda content: None)
        try:
            return picture_bytes.decode(content).tolist()
        except picture_bytes.BadPicture as error:
            return error.reason


def test_transparent_pixels_are_black() -> None:
    clear = np.zeros((28, 28, 4), np.uint8)
    clear[..., :3] = 255
    assert to_rows(encoded(clear)).max() == 0


def test_a_jpeg_is_accepted() -> None:
    smooth = np.linspace(0, 255, 784).reshape(28, 28).astype(np.uint8)
    assert np.abs(to_rows(encoded(smooth, "JPEG"))[0].astype(int) - smooth).max() < 12


REFUSED = [
    (np.zeros((2, 756)), "bad_shape", "expected 784 values for each image, got 756"),
    (np.zeros(10), "bad_shape", "expected 784 values for each image, got 10"),
    (np.zeros((27, 28)), "bad_shape", "(27, 28)"),
    (np.zeros((28, 784, 1)), "bad_shape", "(28, 784, 1)"),
    (np.zeros((1, 28, 28, 3)), "bad_shape", "(1, 28, 28, 3)"),
    (np.array(5), "bad_shape", "()"),
    (np.zeros((0, 28, 28)), "empty", "(0, 28, 28)"),
    ([], "empty", "no pixels"),
    (b"", "empty", "no bytes"),
    ([[1] * 28] * 27 + [[1] * 27], "ragged", "28 rows of 28"),
    (np.full((28, 28), np.nan), "not_finite", "NaN"),
    (np.full((28, 28), -np.inf), "not_finite", "infinity"),
    (np.full((28, 28), 256), "bad_value", "got 256"),
    (np.full((28, 28), -1), "bad_value", "got -1"),
    (np.full((28, 28), 2**63, np.uint64), "bad_value", "got 9.22337e+18"),
    ([[2**70] * 28] * 28, "bad_value", "mixed values"),
    ([["a"] * 28] * 28, "bad_value", "text"),
    ([[None] * 28] * 28, "bad_value", "mixed values"),
    (np.zeros((28, 28), bool), "bad_value", "true and false"),
    (np.zeros((28, 28), complex), "bad_value", "complex"),
    ("AAAA", "unsupported", "text"),
    ({"image": 1}, "unsupported", "dict"),
    (None, "unsupported", "NoneType"),
    (b"x" * 783, "bad_shape", "got 783 bytes"),
    (encoded(IMAGE)[:-30], "bad_image", "cut off"),
    (png_that_claims(28, 28, colour_type=3), "bad_image", "broken"),  # without its palette
    (b"\x89PNG\r\n\x1a\n" + b"x" * 100, "bad_image", "broken"),
    (encoded(IMAGES[0, :20]), "bad_shape", "28 x 20: `python -m producer`"),
    (png_that_claims(20_000, 20_000), "image_too_large", "4096 x 4096"),
    (png_that_claims(10_000, 10_000), "image_too_large", "4096 x 4096"),
    (png_that_claims(4097, 4096), "image_too_large", "4096 x 4096"),
]


@pytest.mark.parametrize(("payload", "reason", "words"), REFUSED)
def test_a_refusal_has_a_reason_and_advice(payload: Any, reason: str, words: str) -> None:
    with pytest.raises(BadPayload) as refusal:
        to_rows(payload)
    assert refusal.value.reason == reason
    assert words in refusal.value.message
    assert str(refusal.value) == refusal.value.message
    assert refusal.value.status_code == 400


def test_lists_nested_40_deep_are_refused() -> None:
    nested: Any = 1
    for _ in range(40):
        nested = [nested]
    with pytest.raises(BadPayload):
        to_rows(nested)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_no_other_exception(noise: bytes) -> None:
    for content in (noise, b"\x89PNG\r\n\x1a\n" + noise, b"\xff\xd8\xff" + noise):
        try:
            to_rows(content)
        except BadPayload as refusal:
            assert refusal.message


def test_a_stack_of_a_picture_and_raw_images_of_the_same_length_is_refused() -> None:
    picture = encoded(np.zeros((28, 28), np.uint8))
    padded = picture + bytes(3 * 784 - len(picture))
    with pytest.raises(BadPayload):
        stack_to_rows([bytes(3 * 784), padded])
