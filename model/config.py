"""Every choice that makes the shipped network what it is."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Network:
    """Shape of the network: three convolutions, one hidden layer.

    Attributes:
        channels: Output channels of the convolutions, which see 28 x 28, 14 x 14 and
            7 x 7 pixels. Multiples of 32 fill the interpreter's int8 kernels.
        hidden: Width of the fully connected layer.
        dropout: Share of hidden activations dropped in training.
    """

    channels: tuple[int, int, int] = (32, 64, 64)
    hidden: int = 128
    dropout: float = 0.2


@dataclass(frozen=True)
class Augmentation:
    """How far a training image is bent, in ways that leave the character readable.

    Attributes:
        rotation: Largest turn either way, in degrees.
        scale: Largest relative change of width and of height, each on its own.
        shear: Largest horizontal slant, in pixels per pixel.
        shift: Largest move along each axis, in pixels.
        thicken: Share of images whose strokes are made thicker or thinner.
        erase: Share of images that lose a rectangle.
        erase_side: Largest side of that rectangle, in pixels.
    """

    rotation: float = 12.0
    scale: float = 0.15
    shear: float = 0.2
    shift: float = 2.5
    thicken: float = 0.3
    erase: float = 0.3
    erase_side: int = 9


@dataclass(frozen=True)
class Training:
    """One training run.

    Attributes:
        seed: Seeds Python, numpy and TensorFlow.
        epochs: Passes over the 50,000 training images.
        batch: Images in a step.
        learning_rate: Peak of the cosine schedule.
        warmup: Share of all steps in which the rate climbs to its peak.
        weight_decay: AdamW's.
        label_smoothing: Probability mass spread over all classes.
        average: What is shipped is a moving average of the weights; this is its length,
            as a share of all steps.
    """

    seed: int = 20180412
    epochs: int = 60
    batch: int = 128
    learning_rate: float = 2e-3
    warmup: float = 0.05
    weight_decay: float = 1e-3
    label_smoothing: float = 0.05
    average: float = 0.05
    network: Network = field(default_factory=Network)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of all settings, as sorted JSON."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


SHIPPED = Training()
