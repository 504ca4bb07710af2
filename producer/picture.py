"""Converts any picture of one character to 28 x 28 pixels in the form of KMNIST.

KMNIST's images have white ink on black, and the box around the ink is centred. In the training
images the longer side of the box has 28 pixels at the median, and 27 at the 5th percentile. The
conversion keeps the aspect ratio of the ink.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

SIDE = 28
PIXEL_LIMIT = 4096 * 4096
MARGIN = 0.5
"""Pixels left free at either end of the ink's longer side, for its antialiased edges."""

_UNREDUCIBLE = ("1", "P", "PA")  # modes that Pillow does not reduce
_WORK = 1024  # side in pixels above which a picture is reduced first, to save time
_INK = 0.35  # least ink of a pixel that counts for the bounding box; full ink is 1
_SPECK = (
    0.002  # share of pixels that may be specks; full ink is measured without these inkiest ones
)


class BadPicture(ValueError):
    """A picture that cannot be converted; the message says why."""


def to_kmnist(picture: Image.Image | bytes | Path | str) -> NDArray[np.uint8]:
    """Converts a picture of one character to the form of the data set.

    The picture's border gives the brightness of the background, and the difference from it is ink.
    So black on white and white on black give the same result. Faint ink is left out. Transparent
    pixels count as white paper. A picture of 28 x 28 pixels is neither cropped nor scaled; it is
    inverted if its border is bright.

    Args:
        picture: a Pillow image, the bytes of an image file, or its path. It has at most as many
            pixels as 4096 x 4096. Its mode is any that Pillow converts to grey. White is 65535
            in 16-bit modes. In mode I it is 65535 if a pixel exceeds 255, else 255. In mode F it is
            255 if a pixel exceeds 1, else 1.

    Returns:
        uint8 (28, 28), 0 is background and 255 full ink.

    Raises:
        BadPicture: the picture is missing, too large or broken, its format is none of
            `PICTURE_FORMATS`, its mode can't be converted, a pixel is NaN or infinite, or the
            picture has no ink and is not of 28 x 28 pixels.
    """
    grey = _grey(picture if isinstance(picture, Image.Image) else _open(picture))
    background = _background(grey)
    if grey.shape == (SIDE, SIDE):
        as_is = grey if background < 0.5 else 1 - grey
        unchanged: NDArray[np.uint8] = np.rint(as_is * 255).astype(np.uint8)
        return unchanged
    return _centred(_cropped(_stretched(np.abs(grey - background))))


# For these formats Pillow knows the size before it decodes pixels, and needs no other program.
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


def _open(source: bytes | Path | str) -> Image.Image:
    name = "the picture" if isinstance(source, bytes) else str(source)
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        picture = Image.open(io.BytesIO(content), formats=PICTURE_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadPicture(f"{name} has more than 4096 x 4096 pixels") from error
    except UnidentifiedImageError as error:
        kinds = ", ".join(PICTURE_FORMATS)
        raise BadPicture(f"cannot read {name}: it is none of {kinds}") from error
    except OSError as error:
        raise BadPicture(f"cannot read {name}: {error}") from error
    _check_size(picture)
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise BadPicture(f"{name} is broken or cut off: {error}") from error
    return picture


def _check_size(picture: Image.Image) -> None:
    if picture.width * picture.height > PIXEL_LIMIT:
        raise BadPicture(
            f"the picture has {picture.width} x {picture.height} pixels, "
            "at most 4096 x 4096 are allowed"
        )


def _grey(picture: Image.Image) -> NDArray[np.float32]:
    """Returns the brightness from 0 to 1, with transparent pixels as white paper."""
    _check_size(picture)
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _grey_numbers(picture)
    try:
        if max(picture.size) > _WORK and picture.mode in _UNREDUCIBLE:
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        picture = _reduced(picture)
        if picture.has_transparency_data:
            paper = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(paper, picture.convert("RGBA"))
        return np.asarray(picture.convert("L"), dtype=np.float32) / 255
    except ValueError as error:
        raise BadPicture(f"a picture of mode {picture.mode} can't be converted: {error}") from error


def _grey_numbers(picture: Image.Image) -> NDArray[np.float32]:
    """As `_grey`, for numbers of more than 8 bits, which Pillow's own conversion clips at 255."""
    values = np.asarray(picture, dtype=np.float32)
    if not np.isfinite(values).all():
        raise BadPicture("the picture has pixels that are NaN or infinite")
    if picture.mode == "F":
        full = 255 if values.max() > 1 else 1
    else:
        full = 65535 if picture.mode != "I" or values.max() > 255 else 255
    grey = _reduced(Image.fromarray(np.clip(values / full, 0, 1)))
    return np.asarray(grey, dtype=np.float32)


def _reduced(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    return picture.reduce(-(-longest // _WORK)) if longest > _WORK else picture


def _background(grey: NDArray[np.float32]) -> np.float32:
    """Returns the median brightness of the border."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return np.float32(np.median(border))


def _stretched(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales ink to the range 0 to 1; a few specks with more ink are clipped at 1.

    Raises:
        BadPicture: the picture shows no ink.
    """
    specks = int(_SPECK * ink.size)
    full = float(np.partition(ink, -1 - specks, axis=None)[-1 - specks])
    if full < 0.1:
        raise BadPicture("the picture shows no ink: it is everywhere about as bright as its border")
    stretched: NDArray[np.float32] = np.clip(ink / full, 0, 1)
    return stretched


def _cropped(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the bounding box of the ink, with faint pixels as background."""
    certain = ink > _INK
    rows, columns = np.flatnonzero(certain.any(axis=1)), np.flatnonzero(certain.any(axis=0))
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    cleaned: NDArray[np.float32] = np.where(box < 0.1, np.float32(0), box)
    return cleaned


def _centred(box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scales a box so that its longer side leaves `MARGIN` free at both ends, and centres it."""
    height, width = box.shape
    scale = (SIDE - 2 * MARGIN) / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = Image.fromarray(np.rint(box * 255).astype(np.uint8)).resize(
        size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    )
    image = Image.new("L", (SIDE, SIDE), 0)
    image.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.array(image)
