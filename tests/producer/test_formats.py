"""The runtime decodes the same images that the producer encodes."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from producer.formats import FORMATS, FormatError, encode
from seldon_kafka.codec import decode
from seldon_kafka.messages import Record

MANY = [name for name, wire_format in FORMATS.items() if wire_format.many]


def one_image(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (1, 28, 28), dtype=np.uint8)


def pixels(name: str, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the images that the runtime's codec decodes from their message."""
    wire_format = FORMATS[name]
    record = Record("t", 0, 0, 0, None, encode(wire_format, images), wire_format.headers())
    payload = decode(record, 2**24).payload
    data = payload.data
    if isinstance(data, bytes):
        if data.startswith((b"\x89PNG", b"\xff\xd8")):
            data = np.asarray(Image.open(io.BytesIO(data)))
        else:
            data = np.frombuffer(data, np.uint8)
    return np.asarray(data).reshape(-1, 28, 28).astype(np.uint8)


@pytest.mark.parametrize("name", MANY)
@given(
    images=arrays.arrays(
        np.uint8, st.integers(1, 4).map(lambda n: (n, 28, 28)), elements=st.integers(0, 255)
    )
)
def test_the_runtime_decodes_the_encoded_images_exactly(
    name: str, images: NDArray[np.uint8]
) -> None:
    assert np.array_equal(pixels(name, images), images)


def test_a_png_carries_one_image_unchanged() -> None:
    assert np.array_equal(pixels("png", one_image()), one_image())


def test_a_jpeg_carries_one_image_nearly_unchanged() -> None:
    smooth = np.tile(np.linspace(0, 255, 28).astype(np.uint8), (1, 28, 1))
    assert np.abs(pixels("jpeg", smooth).astype(int) - smooth).max() < 8


@pytest.mark.parametrize("name", ["png", "jpeg"])
def test_a_picture_format_refuses_many_images_and_names_formats_for_them(name: str) -> None:
    with pytest.raises(FormatError, match=r"holds one image; raw, bindata"):
        encode(FORMATS[name], np.zeros((2, 28, 28), np.uint8))


def test_seldon_json_has_the_shape_of_the_images_as_nested_arrays() -> None:
    document = json.loads(encode(FORMATS["ndarray"], np.zeros((3, 28, 28), np.uint8)))
    assert np.array(document["data"]["ndarray"]).shape == (3, 28, 28)


def test_one_image_as_bindata_is_a_png_and_many_are_raw_bytes() -> None:
    one = json.loads(encode(FORMATS["bindata"], one_image()))["binData"]
    assert base64.b64decode(one).startswith(b"\x89PNG")
    many = json.loads(encode(FORMATS["bindata"], np.zeros((3, 28, 28), np.uint8)))["binData"]
    assert len(base64.b64decode(many)) == 3 * 784


@pytest.mark.parametrize("name", FORMATS)
def test_the_headers_of_every_message_name_its_format(name: str) -> None:
    headers = dict(FORMATS[name].headers())
    assert headers["content-type"]
    assert ("proto-name" in headers) == (name == "protobuf")


def test_a_known_truth_is_a_header() -> None:
    assert ("truth", b"o ki") in FORMATS["raw"].headers("o ki")
    assert "truth" not in dict(FORMATS["raw"].headers())
