"""`seldon-kafka check CLASS`: compares replies to single messages and to stacked messages."""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import os
import time
import traceback
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from seldon_kafka.codec import array_place, decode
from seldon_kafka.codec.plain import masked
from seldon_kafka.config.arguments import positive_integer
from seldon_kafka.errors import CommandError, Rejected, Retriable, UsageError, describe_error
from seldon_kafka.messages import Outcome, Payload, Record, Rejection, Reply
from seldon_kafka.pipeline.load_class import ClassNotUsable, load_class
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.stack_check import ABSOLUTE, RELATIVE, NoCheck, differing
from seldon_kafka.pipeline.user_model import UserModel, copy_data

BATCH_SIZES = (2, 3, 8, 33)
"""Batch sizes that are compared, in messages; one more batch has all messages."""

# The smallest speed-up by stacking at which the check recommends a declaration.
_WORTHWHILE_SPEED_UP = 1.2
# Number of different payloads from which equal replies show that a class is row-wise.
_ENOUGH_DIFFERENT = 4
_MAX_BYTES = 512 * 1024 * 1024

EXAMPLES = """\
examples:
  seldon-kafka check wrapper.KmnistClassifier
  seldon-kafka check MyModel --payload request.json --payload other.json
  seldon-kafka check MyModel --payload picture.png

Without --payload, the check sends random rows in the input shape that `init_metadata` of the class
declares. From a JSON payload with an array, the check makes further payloads, with numbers drawn
from this array.
"""


class Finding(NamedTuple):
    """The result of a check.

    Attributes:
        rejections: a description of each single message that was rejected.
        switch: reason why messages can't be stacked; empty if they can be stacked.
        differences: descriptions of replies in batches that differ from the reply to the single
            message; only the first one for each batch size.
        side_effects: notes on the class: it changes its input or an earlier answer, its answers
            have masked values, or a second call gives another answer.
        singly_s: time for all messages one by one, in seconds.
        stacked_s: time for all messages in one batch, in seconds.
    """

    rejections: List[str]
    switch: str
    differences: List[str]
    side_effects: List[str]
    singly_s: float
    stacked_s: float

    @property
    def is_row_wise(self) -> bool:
        """Whether messages can be stacked, and no reply differed when they were."""
        return not self.switch and not self.differences


def compare(class_name: str, payloads: Sequence[bytes]) -> Finding:
    """Sends payloads to instances of a class, one by one and in batches of several sizes.

    Args:
        class_name: name of the class, as `Module.Class`.
        payloads: values of messages.

    Raises:
        ClassNotUsable: `load_class` refuses the class.
        Retriable: the class raised a temporary error.
        Exception: an error of the constructor or `load()` of the class.
    """
    records = [
        Record("check", 0, offset, 0, None, payload, ()) for offset, payload in enumerate(payloads)
    ]
    singly = Pipeline(_loaded(class_name), _MAX_BYTES, batching="off")
    started = time.perf_counter()
    apart = [singly.run([record]).outcomes[0] for record in records]
    singly_s = time.perf_counter() - started
    switches: List[str] = []
    differences: List[str] = []
    for size in (*BATCH_SIZES, len(records)):
        stacked = Pipeline(
            _loaded(class_name),
            _MAX_BYTES,
            batching="on",
            on_switch=switches.append,
            check=NoCheck(),
        )
        started = time.perf_counter()
        together = [
            outcome for batch in _batches(records, size) for outcome in stacked.run(batch).outcomes
        ]
        stacked_s = time.perf_counter() - started
        found = (difference(one, other) for one, other in zip(apart, together))
        differs = next((each for each in found if each), "")
        if differs:
            differences.append(f"in batches of {size}: {differs}")
    declared = _loaded(class_name)
    declared.declare()
    return Finding(
        [
            f"message {item.record.offset}: {item.reason}: {item.message}"
            for item in apart
            if isinstance(item, Rejection)
        ],
        declared.why_single or (switches[0] if switches else ""),
        differences,
        list(_side_effects(_loaded(class_name), records)),
        singly_s,
        stacked_s,
    )


def _loaded(class_name: str) -> UserModel:
    keeps = os.environ.get("KAFKA_NON_FINITE") == "null"
    return load_class(class_name, os.environ, null_non_finite=keeps)


def _batches(records: List[Record], size: int) -> Iterator[List[Record]]:
    for start in range(0, len(records), size):
        yield records[start : start + size]


def _side_effects(user_model: UserModel, records: Sequence[Record]) -> Iterator[str]:
    """Yields the notes of `_SideEffects` on a class; everything that they describe is allowed.

    Yields nothing for a class that gets whole messages (`predict_raw`).
    """
    if user_model.takes_raw:
        return
    seen = _SideEffects(user_model)
    for record in records:
        payload = _payload_of(record)
        if payload is not None:
            # `Finding.rejections` already has errors of the class.
            with contextlib.suppress(Exception):
                seen.observe(payload)
    yield from seen.found


class _SideEffects:
    """Finds side effects of a class on its input and output arrays, and unusual answers.

    Attributes:
        found: notes on the class, as keys in the order of their discovery.
    """

    def __init__(self, user_model: UserModel) -> None:
        self._user_model = user_model
        # The latest answer, and a copy of it; empty before the first message.
        self._kept: List[Any] = []
        self.found: Dict[str, None] = {}

    def observe(self, payload: Payload) -> None:
        """Calls the class twice with a payload, and adds notes to `found`.

        Raises:
            Exception: an error of the class.
        """
        user_model = self._user_model
        data = copy_data(payload.data)
        if user_model.to_rows is not None:
            data = user_model.to_rows(data)
        before = copy.deepcopy(data)
        answer = user_model.raw_answer(data, payload)
        self._add_if(
            not _alike(before, data),
            "it changes its input array; each call gets a copy",
        )
        self._add_if(
            bool(self._kept) and not _alike(*self._kept),
            "it changes an answer after the call returned it; answers are copied",
        )
        self._add_if(
            bool(masked.is_masked(answer)),
            "its answers have masked values, which are written as null",
        )
        copied = copy.deepcopy(answer)
        again = user_model.raw_answer(before, payload)
        self._add_if(
            not _alike(copied, again), "it answers the same message differently in a second call"
        )
        self._kept = [again, copy.deepcopy(again)]

    def _add_if(self, is_so: bool, description: str) -> None:
        if is_so:
            self.found[description] = None


def _payload_of(record: Record) -> Optional[Payload]:
    try:
        return decode(record, _MAX_BYTES).payload
    except Rejected:
        return None


def _alike(first: Any, second: Any) -> bool:
    if masked.isMaskedArray(first) and masked.isMaskedArray(second):
        return _alike(masked.getmaskarray(first), masked.getmaskarray(second)) and _alike(
            first.filled(0), second.filled(0)
        )
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.shape == second.shape and bool(np.all((first == second) | (first != first)))
    try:
        return bool(first == second)
    except ValueError:
        return repr(first) == repr(second)


def difference(first: Outcome, second: Outcome) -> str:
    """Describes how two outcomes differ; empty if they are equal within the tolerance."""
    if isinstance(first, Reply) and isinstance(second, Reply):
        return differing(json.loads(first.value), json.loads(second.value), "reply") or ""
    if isinstance(first, Rejection) and isinstance(second, Rejection):
        return "" if first.reason == second.reason else f"{first.reason} and {second.reason}"
    rejected = first if isinstance(first, Rejection) else second
    assert isinstance(rejected, Rejection)
    return f"one message is rejected ({rejected.message}), the other is not"


def sample_payloads(user_model: UserModel, count: int) -> List[bytes]:
    """Returns random requests in the input shape that `init_metadata` of the class declares.

    Args:
        user_model: the loaded class.
        count: number of requests.

    Returns:
        Seldon JSON with whole numbers from 0 to 255.

    Raises:
        ClassNotUsable: the class has no `init_metadata`, or the metadata has no input shape.
    """
    metadata: Any = getattr(user_model.instance, "init_metadata", dict)()
    inputs = metadata.get("inputs") or []
    first = inputs[0] if isinstance(inputs, list) and inputs else {}
    shape = first.get("shape") or (first.get("schema") or {}).get("shape")
    if not shape:
        raise ClassNotUsable("its init_metadata has no input shape; use --payload FILE")
    sizes = [size if size > 0 else 1 for size in shape]
    random = np.random.default_rng(0)
    return [
        json.dumps({"data": {"ndarray": random.integers(0, 256, sizes).tolist()}}).encode("utf-8")
        for _ in range(count)
    ]


def varied(payloads: Sequence[bytes], count: int) -> List[bytes]:
    """Returns the payloads, and variants of them with other numbers in their arrays.

    Args:
        payloads: values of messages.
        count: number of payloads to return, unless more are given.
    """
    random = np.random.default_rng(0)
    found = list(payloads)
    for number in range(count - len(payloads)):
        found.append(_drawn_again(payloads[number % len(payloads)], random))
    return found


def _drawn_again(value: bytes, random: np.random.Generator) -> bytes:
    """Returns a copy of a JSON message, with numbers drawn at random from its own array.

    The numbers are drawn with repetition, because a mere reordering would keep mean and range. A
    message without an array of different numbers is returned unchanged.
    """
    try:
        document = json.loads(value)
    except ValueError:
        return value
    place = array_place(document) if isinstance(document, dict) else None
    if place is None:
        return value
    holder, name = place
    try:
        array = np.asarray(holder.get(name))
    except (ValueError, TypeError):
        return value
    if array.dtype.kind not in "biuf" or not array.size or array.min() == array.max():
        return value
    holder[name] = random.choice(array.ravel(), array.shape).tolist()
    return json.dumps(document).encode("utf-8")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments to the parser."""
    parser.description = (
        "Sends sample payloads to a wrapper class, one by one and in batches, and compares replies."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("class_name", metavar="Module.Class", help="the wrapper class")
    parser.add_argument(
        "--payload",
        type=Path,
        action="append",
        default=[],
        help="file with a message value; may be repeated",
    )
    parser.add_argument(
        "--count", type=positive_integer, default=64, help="number of messages to send (64)"
    )
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    """Checks a class, and prints the findings.

    Returns:
        Exit status: 1 if a message is rejected, or if a class declares itself row-wise but is not;
        otherwise 0.

    Raises:
        CommandError: the class raised a temporary error.
        UsageError: the class can't be created, or a payload can't be read.
    """
    try:
        user_model = _loaded(options.class_name)
    except CommandError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise UsageError(
            f"{options.class_name} can't be created: {describe_error(error)} "
            f"({where.filename}, line {where.lineno})"
        ) from error
    payloads = _payloads(user_model, options)
    _print_capabilities(user_model)
    try:
        finding = compare(options.class_name, payloads)
    except Retriable as error:
        raise CommandError(f"the class reported a temporary error: {error}") from error
    return _print_finding(finding, payloads, user_model)


def _payloads(user_model: UserModel, options: argparse.Namespace) -> List[bytes]:
    if not options.payload:
        return sample_payloads(user_model, options.count)
    try:
        return varied([path.read_bytes() for path in options.payload], options.count)
    except OSError as error:
        raise UsageError(f"--payload {error.filename}: {error.strerror}") from error


def _print_capabilities(user_model: UserModel) -> None:
    names = (
        *("row_wise", "to_rows", "stack_to_rows", "row_tags", "constant_tags", "class_names"),
        *("describe", "predict_raw", "tags", "metrics"),
    )
    found = [name for name in names if hasattr(user_model.instance, name)]
    print(f"class     {type(user_model.instance).__module__}.{type(user_model.instance).__name__}")
    print(f"has       {', '.join(found) or 'predict only'}")
    how = "with many messages at once, as the class declares"
    if user_model.why_single:
        how = f"message by message: {user_model.why_single}"
    print(f"called    {how}")


def _print_finding(finding: Finding, payloads: Sequence[bytes], user_model: UserModel) -> int:
    count = len(payloads)
    different = _count_different(payloads)
    sizes = ", ".join(map(str, (*BATCH_SIZES, count)))
    print(f"sent      {count} messages ({different} different), singly and in batches of {sizes}")
    print("compared  names, tags, metrics, shapes and types exactly, floats by")
    print(f"          |a - b| <= {ABSOLUTE:g} + {RELATIVE:g} |b|")
    print(f"singly    {count} messages in {finding.singly_s:.3f} s")
    print(f"stacked   {count} messages in {finding.stacked_s:.3f} s")
    for description in finding.side_effects:
        print(f"note      {description}")
    for text in finding.rejections[:5]:
        print(f"rejected  {text}")
    if finding.rejections:
        print(f"FAILED    {len(finding.rejections)} of {count} messages were rejected")
        return 1
    for text in [*([finding.switch] if finding.switch else []), *finding.differences[:5]]:
        print(f"differs   {text}")
    return _print_verdict(finding, user_model, is_tried=different >= _ENOUGH_DIFFERENT)


def _count_different(payloads: Sequence[bytes]) -> int:
    """Returns the number of different payloads; white space and key order of JSON do not count."""
    return len(set(map(_content, payloads)))


def _content(payload: bytes) -> bytes:
    try:
        return json.dumps(json.loads(payload), sort_keys=True).encode("utf-8")
    except ValueError:
        return payload


def _print_verdict(finding: Finding, user_model: UserModel, *, is_tried: bool) -> int:
    if not finding.is_row_wise and user_model.stacks:
        print("FAILED    the class declares itself row-wise, and is not; remove the declaration,")
        print("          or set KAFKA_BATCHING=off")
        return 1
    if not finding.is_row_wise:
        print("ok        the class is called message by message, as it must be")
        return 0
    if not is_tried:
        print(
            "ok        the class answers, but the messages are too similar to show whether a batch"
        )
        print("          changes an answer. Add other payloads: --payload FILE --payload FILE")
        return 0
    if user_model.stacks:
        print("ok        the same answers singly and stacked")
        return 0
    times = finding.singly_s / max(finding.stacked_s, 1e-9)
    if times < _WORTHWHILE_SPEED_UP:
        print("ok        the class is called message by message; a declaration would gain nothing")
        return 0
    print("ok        the same answers singly and stacked. If calls have no side effects, declare")
    print(f"          `row_wise = True`: the stacked call was {times:.1f} times as fast")
    return 0
