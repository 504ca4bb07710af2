"""Draws pictures that are not kuzushiji, to train and to test the outlier detector.

Training and tests have different fonts, photographs and random numbers.
"""

import importlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 28
DIGITS = "0123456789"
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Sources:
    """Sources of outlier pictures.

    Attributes:
        fonts: font files for digits and letters.
        photographs: picture files for patches.
        images: uint8 (n, 28, 28), real images; the kind `inverted` inverts their ink.
        seed: seed of the random numbers.
    """

    fonts: tuple[Path, ...]
    photographs: tuple[Path, ...]
    images: Pictures
    seed: int

    @cached_property
    def scenes(self) -> list[NDArray[np.uint8]]:
        """The photographs as uint8 grey pictures."""
        return [np.asarray(Image.open(path).convert("L")) for path in self.photographs]


def training_sources(images: Pictures) -> Sources:
    """Returns the sources for training: matplotlib's fonts and its sample photograph."""
    import matplotlib

    data = Path(matplotlib.get_data_path())
    fonts = [path for path in (data / "fonts" / "ttf").glob("*.ttf") if "Siz" not in path.stem]
    written = [path for path in sorted(fonts) if path.stem[:4] in ("Deja", "STIX", "cmr1", "cmss")]
    usable = [path for path in written if "NonUni" not in path.stem and "Display" not in path.stem]
    return Sources(tuple(usable), (data / "sample_data" / "grace_hopper.jpg",), images, 1)


def evaluation_sources(images: Pictures) -> Sources:
    """Returns the sources for tests: fonts of four packages, and scikit-learn's photographs."""
    import sklearn.datasets

    packages = ("font_amatic_sc", "font_caladea", "font_hanken_grotesk", "font_source_serif_pro")
    fonts: list[Path] = []
    for package in packages:
        module = importlib.import_module(package)
        assert module.__file__ is not None
        folder = Path(module.__file__).parent
        fonts += sorted([*folder.rglob("*.ttf"), *folder.rglob("*.otf")])
    scenes = Path(sklearn.datasets.__file__).parent / "images"
    return Sources(tuple(fonts), (scenes / "china.jpg", scenes / "flower.jpg"), images, 2)


def draw(kind: str, count: int, sources: Sources) -> Pictures:
    """Draws pictures of one kind.

    Args:
        kind: one of `TRAINING_KINDS`.
        count: number of pictures.
        sources: fonts, photographs and images to draw from.

    Returns:
        uint8 (count, 28, 28), 0 is background and 255 full ink.
    """
    random = np.random.default_rng([sources.seed, *kind.encode()])
    return np.stack(list(itertools.islice(TRAINING_KINDS[kind](sources, random), count)))


def _blank(sources: Sources, random: np.random.Generator) -> Iterator[Pictures]:
    while True:
        yield np.full((SIDE, SIDE), random.integers(0, 256), np.uint8)


def _noise(sources: Sources, random: np.random.Generator) -> Iterator[Pictures]:
    """Yields uniform, normal, and salt-and-pepper noise of any strength, sometimes blurred."""
    while True:
        shape, level = (SIDE, SIDE), random.uniform(0, 255)
        which = random.integers(3)
        if which == 0:
            ink = random.uniform(0, 255, shape)
        elif which == 1:
            ink = random.normal(level, random.uniform(20, 120), shape)
        else:
            ink = np.where(random.random(shape) < random.uniform(0.05, 0.95), 255.0, 0.0)
        picture = Image.fromarray(np.clip(ink, 0, 255).astype(np.uint8))
        if random.random() < 0.3:
            picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.5)))
        yield np.asarray(picture)


def _inverted(sources: Sources, random: np.random.Generator) -> Iterator[Pictures]:
    while True:
        yield 255 - sources.images[random.integers(len(sources.images))]


def _written(characters: str) -> Callable[[Sources, np.random.Generator], Iterator[Pictures]]:
    def drawn(sources: Sources, random: np.random.Generator) -> Iterator[Pictures]:
        while True:
            character = characters[random.integers(len(characters))]
            font = sources.fonts[random.integers(len(sources.fonts))]
            yield _glyph(character, font, random)

    return drawn


def _glyph(character: str, font: Path, random: np.random.Generator) -> Pictures:
    """Draws a character that fills most of the picture, as in the data set."""
    scale = 4
    drawn = Image.new("L", (SIDE * scale * 2,) * 2)
    corner = (SIDE * scale / 2, SIDE * scale / 2)
    ImageDraw.Draw(drawn).text(corner, character, 255, ImageFont.truetype(str(font), SIDE * scale))
    box = drawn.getbbox() or (0, 0, *drawn.size)
    high = random.uniform(18, 27)
    wide = (box[2] - box[0]) * high / (box[3] - box[1])
    size = (max(2, min(27, round(wide))), round(high))
    glyph = drawn.crop(box).resize(size, Image.Resampling.LANCZOS)
    picture = Image.new("L", (SIDE, SIDE))
    free = (SIDE - size[0], SIDE - size[1])
    picture.paste(glyph, (round(free[0] * random.uniform(0.3, 0.7)), free[1] // 2))
    return np.asarray(picture)


def _photographs(sources: Sources, random: np.random.Generator) -> Iterator[Pictures]:
    while True:
        scene = sources.scenes[random.integers(len(sources.scenes))]
        side = int(random.integers(SIDE, min(scene.shape) // 2))
        top, left = (int(random.integers(0, size - side)) for size in scene.shape)
        patch = Image.fromarray(scene[top : top + side, left : left + side])
        yield np.asarray(patch.resize((SIDE, SIDE), Image.Resampling.BOX))


def _textures(sources: Sources, random: np.random.Generator) -> Iterator[Pictures]:
    """Yields noise in which coarse parts are stronger than fine ones, as in photographs."""
    y, x = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij")
    distance = np.maximum(np.hypot(y, x), 1 / SIDE)
    while True:
        phases: Any = np.exp(2j * np.pi * random.random(distance.shape))
        field = np.fft.irfft2(phases / distance ** random.uniform(0.5, 2.5), (SIDE, SIDE))
        field = (field - field.mean()) / (field.std() + 1e-9)
        ink = random.uniform(40, 215) + field * random.uniform(15, 80)
        yield np.clip(ink, 0, 255).astype(np.uint8)


def _strokes(sources: Sources, random: np.random.Generator) -> Iterator[Pictures]:
    """Yields straight lines, boxes and arcs."""
    while True:
        picture = Image.new("L", (SIDE * 4, SIDE * 4))
        pen = ImageDraw.Draw(picture)
        for _ in range(random.integers(1, 4)):
            corners = random.uniform(4, SIDE * 4 - 4, (2, 2))
            (left, top), (right, bottom) = np.sort(corners, axis=0)
            box = (left, top, right + 4, bottom + 4)
            width = int(random.integers(4, 16))
            shape = random.integers(4)
            if shape == 0:
                pen.rectangle(box, outline=255, width=width)
            elif shape == 1:
                pen.arc(box, random.uniform(0, 180), random.uniform(180, 360), 255, width)
            else:
                pen.line([tuple(corner) for corner in corners], 255, width)
        yield np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


KINDS: dict[str, Callable[[Sources, np.random.Generator], Iterator[Pictures]]] = {
    "blank": _blank,
    "noise": _noise,
    "inverted": _inverted,
    "digits": _written(DIGITS),
    "latin letters": _written(LATIN),
    "photographs": _photographs,
}
"""The kinds that a detector is tested on."""

TRAINING_KINDS = {**KINDS, "textures": _textures, "strokes": _strokes}
"""The kinds that a detector is trained on."""
