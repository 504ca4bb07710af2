"""Every choice that makes a network what it is, read from `recipes.yaml`."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import yaml

RECIPES = Path(__file__).resolve().parent / "recipes.yaml"

_WORDS = {"optimizer": ("sgd", "adamw"), "precision": ("mixed_bfloat16", "float32")}


class RecipeError(Exception):
    """A recipe that can't be followed; the message says which word to change."""


@dataclass(frozen=True)
class Stage:
    """Layers that see the picture at one resolution, which the first of them halves.

    Attributes:
        channels: Output channels of each convolution. Multiples of 32 fill the
            interpreter's int8 kernels.
        kernel: Side of the first convolution's kernel; all others are 3 x 3.
        plain: Convolutions after the first.
        residual: Pairs of convolutions after these, whose input is added to their output.
    """

    channels: int
    kernel: int = 3
    plain: int = 0
    residual: int = 0


@dataclass(frozen=True)
class Network:
    """Shape of a network: stages of convolutions, then what reads their last pictures.

    Attributes:
        stages: From 28 x 28 pixels to 14 x 14, 7 x 7 and so on.
        hidden: Width of a fully connected layer over all of the last pictures; 0 has
            the mean of each picture in its place.
        dropout: Share of activations dropped in training, around the hidden layer.
    """

    stages: tuple[Stage, ...]
    hidden: int = 0
    dropout: float = 0.0


@dataclass(frozen=True)
class Augmentation:
    """How far a training image is bent, in ways that leave the character readable.

    Attributes:
        rotation: Largest turn either way, in degrees.
        scale: Largest relative change of width and of height, each on its own.
        shear: Largest horizontal slant, in pixels per pixel.
        shift: Largest move along each axis, in pixels.
        elastic: Largest move of the knots of a smooth field, in pixels.
        thicken: Share of images whose strokes are made thicker or thinner.
        erase: Share of images that lose a rectangle.
        cutmix: Share of images in which a rectangle shows another image.
        hole_side: Largest side of these rectangles, in pixels.
        mixup: Share of images that are blended with another one.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    thicken: float = 0.0
    erase: float = 0.0
    cutmix: float = 0.0
    hole_side: float = 12.0
    mixup: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        name: Its name in the file of recipes.
        network: What is trained.
        augmentation: What its images go through.
        seed: Decides weights, order and augmentation.
        epochs: Passes over the training images.
        batch: Images in a step, over all processes together.
        optimizer: `sgd` (with Nesterov momentum 0.9) or `adamw`.
        learning_rate: Peak of the cosine schedule.
        warmup: Share of all steps in which the rate climbs to its peak.
        weight_decay: Share of the rate by which weights shrink in a step.
        label_smoothing: Probability mass spread over all classes.
        average: Length of the moving average of the weights, which is what is served, as
            a share of all steps.
        precision: `mixed_bfloat16` computes in bfloat16 and keeps weights in float32,
            which processors with AVX512_BF16 or AMX do nearly twice as fast; `float32`
            for others.
        teachers: Recipes whose mean answer is to be met as well.
        distillation: Weight of that in the loss, from 0 to 1; the labels have the rest.
        distillation_temperature: Both sides' logits are divided by it before.
    """

    name: str
    network: Network
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 20180412
    epochs: int = 60
    batch: int = 256
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    warmup: float = 0.05
    weight_decay: float = 1e-3
    label_smoothing: float = 0.05
    average: float = 0.02
    precision: str = "mixed_bfloat16"
    teachers: tuple[str, ...] = ()
    distillation: float = 0.0
    distillation_temperature: float = 2.0

    def __post_init__(self) -> None:
        """Refuse words that nothing would be done with.

        Raises:
            RecipeError: `optimizer` or `precision` is none of those above, or `epochs` is
                below 1.
        """
        if self.epochs < 1:
            raise RecipeError(f"{self.name}.epochs: expected 1 or more, got {self.epochs}")
        for setting, words in _WORDS.items():
            if getattr(self, setting) not in words:
                raise RecipeError(
                    f"{self.name}.{setting}: expected {' or '.join(words)}, "
                    f"got {getattr(self, setting)!r}"
                )

    def settings(self) -> dict[str, Any]:
        """All choices, as the file of recipes and JSON hold them."""
        return dataclasses.asdict(self)


def digest(*parts: Any) -> str:
    """The first 12 hex digits of the SHA-256 of values, as sorted JSON."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_recipes(path: Path = RECIPES) -> dict[str, Recipe]:
    """Read a file of recipes.

    Args:
        path: YAML: names of recipes, and what each has other than the defaults.

    Raises:
        RecipeError: It is missing, no YAML, or says something that no recipe has.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot read the recipes in {path}: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} holds no recipes: expected names with settings below them")
    recipes = {name: _recipe(name, said) for name, said in content.items()}
    for recipe in recipes.values():
        if absent := set(recipe.teachers) - set(recipes):
            raise RecipeError(f"{recipe.name}: no recipe is named {', '.join(sorted(absent))}")
    return recipes


def _recipe(name: Any, said: Any) -> Recipe:
    if not isinstance(said, dict):
        raise RecipeError(f"{name}: expected settings below it, got {said!r}")
    recipe: Recipe = parse(Recipe, {"name": name, **said}, str(name))
    return recipe


def parse(kind: Any, said: Mapping[str, Any], where: str) -> Any:
    """Make a dataclass of this module from what a file says, all the way down.

    Raises:
        RecipeError: A name is unknown, or a value is of another type.
    """
    hints = get_type_hints(kind)
    if unknown := set(said) - set(hints):
        raise RecipeError(
            f"{where}: unknown {', '.join(sorted(map(str, unknown)))}; known are {', '.join(hints)}"
        )
    values = {name: _value(hints[name], value, f"{where}.{name}") for name, value in said.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise RecipeError(f"{where}: {error}") from error


def _value(wanted: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(wanted) and isinstance(value, dict):
        return parse(wanted, value, where)
    if wanted in (tuple[str, ...], tuple[Stage, ...]) and isinstance(value, list | tuple):
        kind = wanted.__args__[0]
        return tuple(_value(kind, each, f"{where}[{i}]") for i, each in enumerate(value))
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if wanted in (int, str) and type(value) is wanted:
        return value
    raise RecipeError(f"{where}: expected {getattr(wanted, '__name__', wanted)}, got {value!r}")
