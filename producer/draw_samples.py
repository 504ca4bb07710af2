"""Draws the bundled samples: `python -m producer.draw_samples`.

The characters come from brush fonts under the SIL Open Font License. They are distorted like
handwriting, on paper of several shades. The fonts are not in the repository:

    npm install --prefix .cache/fonts @fontsource/yuji-boku@5.3.0 \
        @fontsource/yuji-mai@5.3.0 @fontsource/yuji-syuku@5.3.0
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from model.labels import HIRAGANA, ROMAJI
from producer.bundled_samples import LABELS, SAMPLES

FONTS = ("yuji-boku", "yuji-mai", "yuji-syuku")
UNUSUAL = {("yuji-boku", "お"), ("yuji-mai", "は")}
"""Glyphs with a shape that is rare in the data set; another font draws these characters."""

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "fonts"
"""Default of the folder in which npm installed the fonts."""

SEED = 20180412

CANVAS = 256
"""Side in pixels of the picture on which a character is drawn and distorted."""

SIDE = 80
"""Side in pixels of a sample."""

PER_CLASS = 10

_GRID = 6  # squares of the distortion's grid along each side
_WOBBLE = 5.0  # standard deviation of the shift of a grid corner, in pixels
_ROTATION = 6.0  # largest rotation, in degrees
_STRETCH = 0.1  # largest logarithm of the stretch of a side
_SLANT = 0.12  # largest slant, in pixels across for each pixel down


def font_file(folder: Path, name: str) -> Path:
    """Returns the file with a font's Japanese characters, below npm's folder."""
    package = folder / "node_modules" / "@fontsource" / name
    return package / "files" / f"{name}-japanese-400-normal.woff"


def draw(character: str, font: Path, random: np.random.Generator) -> Image.Image:
    """Draws a character that looks like handwriting.

    Args:
        character: the character.
        font: a font file that Pillow reads.
        random: generator of the distortions.

    Returns:
        A picture of mode L and 80 x 80 pixels. Four of five pictures have dark ink on light paper,
        the others have light ink on dark paper.
    """
    ink = Image.new("L", (CANVAS, CANVAS), 0)
    face = ImageFont.truetype(str(font), 170)
    middle = (CANVAS / 2, CANVAS / 2)
    ImageDraw.Draw(ink).text(middle, character, font=face, fill=255, anchor="mm")
    ink = _thickened(_bent(ink, random), random)
    ink = ink.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    coverage = np.asarray(ink, dtype=np.float32) / 255
    paper, brush = random.uniform(215, 255), random.uniform(0, 50)
    if random.random() < 0.2:
        paper, brush = brush / 2, paper
    shade = paper + (brush - paper) * coverage + random.normal(0, 2, coverage.shape)
    return Image.fromarray(np.clip(np.rint(shade), 0, 255).astype(np.uint8))


def _bent(ink: Image.Image, random: np.random.Generator) -> Image.Image:
    """Rotates, stretches, slants and distorts ink, by moving the corners of a grid."""
    turn = np.deg2rad(random.uniform(-_ROTATION, _ROTATION))
    wide, high = np.exp(random.uniform(-_STRETCH, _STRETCH, 2))
    slant = random.uniform(-_SLANT, _SLANT)
    rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.diag([wide, high]) @ rotate @ np.array([[1, slant], [0, 1]])
    at = np.linspace(0, CANVAS, _GRID + 1)
    corners = np.stack(np.meshgrid(at, at), axis=-1)
    sources = (corners - CANVAS / 2) @ matrix.T + CANVAS / 2
    sources += random.normal(0, _WOBBLE, sources.shape)
    mesh = []
    for row in range(_GRID):
        for column in range(_GRID):
            left, top = corners[row, column].round().astype(int).tolist()
            right, bottom = corners[row + 1, column + 1].round().astype(int).tolist()
            square = sources[row : row + 2, column : column + 2]
            # Pillow expects the corners in this order: upper left, lower left, lower right, upper
            # right.
            quad = (square[0, 0], square[1, 0], square[1, 1], square[0, 1])
            mesh.append(((left, top, right, bottom), tuple(np.concatenate(quad).tolist())))
    return ink.transform(
        ink.size, Image.Transform.MESH, mesh, resample=Image.Resampling.BICUBIC, fillcolor=0
    )


def _thickened(ink: Image.Image, random: np.random.Generator) -> Image.Image:
    """Makes strokes thicker or thinner, and smooths their kinks at the edges of the grid."""
    blurred = ink.filter(ImageFilter.GaussianBlur(random.uniform(2, 4)))
    threshold = random.uniform(100, 190)
    return blurred.point([255 * (level > threshold) for level in range(256)])


def main() -> int:
    """Draws all samples, and writes their labels.

    Returns:
        0 if the samples were written, 1 if a font is missing.
    """
    parser = argparse.ArgumentParser(prog="python -m producer.draw_samples", description=__doc__)
    parser.add_argument("--fonts", type=Path, default=FOLDER, help="npm's folder (%(default)s)")
    parser.add_argument("--out", type=Path, default=SAMPLES, help="output folder (%(default)s)")
    arguments = parser.parse_args()
    fonts = {name: font_file(arguments.fonts, name) for name in FONTS}
    missing = [name for name, path in fonts.items() if not path.is_file()]
    if missing:
        packages = " ".join(f"@fontsource/{name}" for name in missing)
        print(f"fonts are missing: npm install --prefix {arguments.fonts} {packages}")
        return 1
    random = np.random.default_rng(SEED)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / LABELS).open("w", encoding="utf-8", newline="") as sink:
        table = csv.writer(sink, lineterminator="\n")
        table.writerow(["file", "label", "romaji", "hiragana", "font"])
        for index in range(PER_CLASS * len(HIRAGANA)):
            label = index % len(HIRAGANA)
            usual = [font for font in FONTS if (font, HIRAGANA[label]) not in UNUSUAL]
            font = usual[(index // len(HIRAGANA)) % len(usual)]
            name = f"sample_{index}.{'png' if index % 4 == 3 else 'jpg'}"
            picture = draw(HIRAGANA[label], fonts[font], random)
            picture.save(arguments.out / name, optimize=True, quality=80)
            table.writerow([name, label, ROMAJI[label], HIRAGANA[label], font])
    return 0


if __name__ == "__main__":
    sys.exit(main())
