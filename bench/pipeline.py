"""Measures the pipeline without Kafka, from records to reply bytes, and the model alone."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from bench.figures import Figures
from bench.payloads import FORMAT_NAMES, Payload, payloads
from bench.systems import CLASS
from model.loader import load_classifier
from seldon_kafka.messages import Record, Reply
from seldon_kafka.pipeline.load_class import load_class
from seldon_kafka.pipeline.pipeline import Pipeline

BATCHES = (1, 8, 64, 256)
MODEL_BATCHES = (64, 256, 1024)
_MAX_BYTES = 8 * 1024 * 1024
_WARM_UP_S = 0.3


class WrongAnswer(Exception):
    """The pipeline rejected a message, so the measured speed means nothing."""


def measure(figures: Figures, images: NDArray[np.uint8], seconds: float) -> Iterator[str]:
    """Measures one repetition of all cases; yields the name of each case before it is measured.

    Args:
        figures: figures that the results are added to.
        images: uint8 (n, 28, 28).
        seconds: duration of each case.

    Raises:
        WrongAnswer: the pipeline rejected a message.
    """
    for batch in MODEL_BATCHES:
        yield f"model alone, batches of {batch}"
        rate = _model_rate(images, batch, seconds)
        figures.add("model", "images/s", rate, batch=batch)
    for name in FORMAT_NAMES:
        made = list(payloads(name, images))
        for batch in BATCHES:
            yield f"pipeline, {name}, batches of {batch}"
            _measure_pipeline(figures, name, made, batch, seconds)


def _model_rate(images: NDArray[np.uint8], batch: int, seconds: float) -> float:
    classifier = load_classifier()
    stack = np.resize(images, (batch, *images.shape[1:]))
    _call_for(lambda: classifier.probabilities(stack), _WARM_UP_S)
    calls, taken = _call_for(lambda: classifier.probabilities(stack), seconds)
    return calls * batch / taken


def _call_for(function: Callable[[], object], seconds: float) -> tuple[int, float]:
    started = time.perf_counter()
    calls = 0
    while (taken := time.perf_counter() - started) < seconds:
        function()
        calls += 1
    return calls, taken


def _measure_pipeline(
    figures: Figures, name: str, made: list[Payload], batch: int, seconds: float
) -> None:
    pipeline = Pipeline(load_class(CLASS), _MAX_BYTES)
    batches = _batches(made, batch)
    spent = {"decode": 0.0, "predict": 0.0, "encode": 0.0}
    messages, taken = 0, 0.0
    warm_at = time.perf_counter() + min(_WARM_UP_S, seconds)
    while taken < seconds:
        records = next(batches)
        started = time.perf_counter()
        result = pipeline.run(records)
        finished = time.perf_counter()
        if not all(isinstance(outcome, Reply) for outcome in result.outcomes):
            raise WrongAnswer(f"the pipeline rejected messages of format {name}")
        if finished < warm_at:
            continue
        messages += batch
        taken += finished - started
        for stage, stage_seconds in result.seconds.items():
            spent[stage] += stage_seconds
    figures.add("pipeline", "messages/s", messages / taken, format=name, batch=batch)
    for stage, total in spent.items():
        microseconds = total / messages * 1e6
        figures.add("stage", "µs/message", microseconds, format=name, batch=batch, stage=stage)


def _batches(made: list[Payload], batch: int) -> Iterator[list[Record]]:
    endless = itertools.cycle(made)
    offsets = itertools.count()
    while True:
        # Each value is a new bytes object, as from the client library, so that no cache helps.
        yield [
            Record("in", 0, offset, 1, None, bytes(bytearray(payload.value)), payload.headers)
            for payload, offset in zip(itertools.islice(endless, batch), offsets, strict=False)
        ]
