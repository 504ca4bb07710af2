"""Settings of a network and its training, read from `recipes.yaml`."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import yaml

RECIPES = Path(__file__).resolve().parent / "recipes.yaml"

_CHOICES = {"optimizer": ("sgd", "adamw"), "precision": ("mixed_bfloat16", "float32")}


class RecipeError(Exception):
    """A recipe is invalid; the message names the setting to change."""


@dataclass(frozen=True)
class Stage:
    """Convolutions of one resolution; the first of them halves the width and height.

    Attributes:
        channels: output channels of each convolution; multiples of 32 fill the interpreter's
            int8 kernels.
        kernel: side of the first convolution's kernel; all others are 3 x 3.
        plain: number of convolutions after the first.
        residual: number of residual blocks at the end, with two convolutions each.
    """

    channels: int
    kernel: int = 3
    plain: int = 0
    residual: int = 0


@dataclass(frozen=True)
class Network:
    """Shape of a network: stages of convolutions and the layers after them.

    Attributes:
        stages: the stages; the first turns 28 x 28 pixels to 14 x 14, the next to 7 x 7.
        hidden: width of a fully connected layer over all features; 0 uses the mean of each
            channel instead.
        dropout: share of activations that are dropped in training, around the hidden layer.
    """

    stages: tuple[Stage, ...]
    hidden: int = 0
    dropout: float = 0.0


@dataclass(frozen=True)
class Augmentation:
    """Strength of the distortions of training images; the character stays readable.

    Attributes:
        rotation: largest rotation in either direction, in degrees.
        scale: largest relative change of width and, independently, of height; 0.1 is about 10 %.
        shear: largest horizontal slant, in pixels across for each pixel down.
        shift: largest shift along each axis, in pixels.
        elastic: largest shift of the knots of a smooth field, in pixels.
        thicken: share of images whose strokes are made thicker or thinner.
        erase: share of images that lose a rectangle.
        cutmix: share of images in which a rectangle shows another image.
        hole_side: largest side of the rectangles of `erase` and `cutmix`, in pixels.
        mixup: share of images that are blended with another one.
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
    """Settings of one training run.

    Attributes:
        name: name in the file of recipes.
        network: shape of the network.
        augmentation: distortions of the images.
        seed: seed of the initial weights, the order and the augmentation.
        epochs: passes over the training images.
        batch: images in a step, over all processes together.
        optimizer: `sgd` (with Nesterov momentum 0.9) or `adamw`.
        learning_rate: peak of the cosine schedule.
        warmup: share of all steps in which the rate rises to its peak.
        weight_decay: factor of the learning rate; a step shrinks weights by the product.
        label_smoothing: probability mass that is spread over all classes.
        average: number of steps in the moving average of the weights, as a share of all steps.
            The served network has the averaged weights.
        precision: `mixed_bfloat16` computes in bfloat16 and keeps weights in float32, which is
            almost twice as fast on processors with AVX512_BF16 or AMX; `float32` is for other
            processors.
        teachers: recipes of the networks whose mean answer is a second target.
        distillation: weight of the teachers' answer in the loss, from 0 to 1; the labels have
            the rest of the weight.
        distillation_temperature: divisor of the logits of teachers and student.
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
        """Checks the settings.

        Raises:
            RecipeError: `optimizer` or `precision` is unknown, or `epochs` is below 1.
        """
        if self.epochs < 1:
            raise RecipeError(f"{self.name}.epochs: expected 1 or more, got {self.epochs}")
        for setting, choices in _CHOICES.items():
            if getattr(self, setting) not in choices:
                raise RecipeError(
                    f"{self.name}.{setting}: expected {' or '.join(choices)}, "
                    f"got {getattr(self, setting)!r}"
                )

    def settings(self) -> dict[str, Any]:
        """Returns all settings by name, nested as in the file of recipes."""
        return dataclasses.asdict(self)


def digest(*parts: Any) -> str:
    """Returns the first 12 hex digits of the SHA-256 of the values as sorted JSON."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_recipes(path: Path = RECIPES) -> dict[str, Recipe]:
    """Reads a file of recipes.

    Args:
        path: a YAML file with recipes by name, each with the settings that differ from the
            defaults.

    Raises:
        RecipeError: the file is missing or not YAML, a setting is invalid, or a teacher is not
            in the file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot read the recipes in {path}: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} has no recipes: expected names with settings below them")
    recipes = {name: _recipe(name, settings) for name, settings in content.items()}
    for recipe in recipes.values():
        if absent := set(recipe.teachers) - set(recipes):
            raise RecipeError(f"{recipe.name}: no recipe is named {', '.join(sorted(absent))}")
    return recipes


def _recipe(name: Any, settings: Any) -> Recipe:
    if not isinstance(settings, dict):
        raise RecipeError(f"{name}: expected settings below it, got {settings!r}")
    recipe: Recipe = parse(Recipe, {"name": name, **settings}, str(name))
    return recipe


def parse(kind: Any, settings: Mapping[str, Any], where: str) -> Any:
    """Makes a dataclass of this module from settings, nested dataclasses included.

    Args:
        kind: the dataclass.
        settings: values of the dataclass's fields, by name.
        where: path of the settings in the file, for messages.

    Raises:
        RecipeError: a name is unknown or missing, or a value has another type.
    """
    hints = get_type_hints(kind)
    if unknown := set(settings) - set(hints):
        raise RecipeError(
            f"{where}: unknown {', '.join(sorted(map(str, unknown)))}; known are {', '.join(hints)}"
        )
    values = {
        name: _value(hints[name], value, f"{where}.{name}") for name, value in settings.items()
    }
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
