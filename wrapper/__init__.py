"""The Seldon classes that s2i builds around the model."""

from wrapper.classifiers import KmnistBaseline, KmnistClassifier
from wrapper.explainer import KmnistExplainer
from wrapper.outlier_detector import KmnistOutlierDetector
from wrapper.payload import BadPayload

__all__ = [
    "BadPayload",
    "KmnistBaseline",
    "KmnistClassifier",
    "KmnistExplainer",
    "KmnistOutlierDetector",
]
