"""`python -m kafka.check Module.Class`: tries a class alone and batched, and says what it found."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence

import numpy as np

from kafka.messages import Outcome, Record, Rejection, Reply
from kafka.pipeline import Pipeline
from kafka.reasons import Retriable
from kafka.served_class import ClassNotUsable, ServedClass, load_class

TOLERANCE = 1e-5
_MAX_BYTES = 512 * 1024 * 1024

EXAMPLES = """\
examples:
  python -m kafka.check wrapper.KmnistClassifier
  python -m kafka.check MyModel --payload request.json --payload other.json
  python -m kafka.check MyModel --payload picture.png

Without --payload, random rows of the shape that the class's `init_metadata` names are sent.
"""


class Finding(NamedTuple):
    """What came of sending the payloads.

    Attributes:
        rejections: texts of what was rejected.
        difference: largest difference between an answer alone and in a batch.
        alone_s: seconds to answer all of them message by message.
        batched_s: seconds to answer all of them in batches.
    """

    rejections: List[str]
    difference: float
    alone_s: float
    batched_s: float


def compare(class_name: str, payloads: Sequence[bytes]) -> Finding:
    """Sends payloads to two instances of the class, one called message by message.

    Args:
        class_name: `Module.Class`.
        payloads: values of messages.

    Raises:
        ClassNotUsable: the class can't be imported or made.
        Retriable: it asks to try again later.
    """
    records = [
        Record("check", 0, offset, 0, None, payload, ()) for offset, payload in enumerate(payloads)
    ]
    batched = Pipeline(load_class(class_name, os.environ), _MAX_BYTES)
    alone = Pipeline(load_class(class_name, os.environ), _MAX_BYTES, batching=False)
    for pipeline in (batched, alone):
        pipeline.run(records[:1])
    started = time.perf_counter()
    together = batched.run(records).outcomes
    between = time.perf_counter()
    apart = alone.run(records).outcomes
    finished = time.perf_counter()
    return Finding(
        [
            f"message {item.record.offset}: {item.reason}: {item.message}"
            for item in apart
            if isinstance(item, Rejection)
        ],
        max(map(difference, apart, together)),
        finished - between,
        between - started,
    )


def difference(first: Outcome, second: Outcome) -> float:
    """The largest difference between two outcomes' numbers; infinite if they differ in kind."""
    if isinstance(first, Reply) and isinstance(second, Reply):
        return _distance(json.loads(first.value), json.loads(second.value))
    return 0.0 if type(first) is type(second) else float("inf")


def _distance(first: Any, second: Any) -> float:
    if isinstance(first, bool) or isinstance(second, bool):
        return 0.0 if first == second else float("inf")
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return abs(first - second)
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        return max((_distance(first[name], second[name]) for name in first), default=0.0)
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return max(map(_distance, first, second), default=0.0)
    return 0.0 if first == second else float("inf")


def sample_payloads(served: ServedClass, count: int) -> List[bytes]:
    """Random requests of the shape that the class's metadata names.

    Raises:
        ClassNotUsable: the metadata names no shape.
    """
    metadata: Any = getattr(served.instance, "init_metadata", dict)()
    inputs = metadata.get("inputs") or []
    first = inputs[0] if isinstance(inputs, list) and inputs else {}
    shape = first.get("shape") or (first.get("schema") or {}).get("shape")
    if not shape:
        raise ClassNotUsable("its init_metadata names no input shape; give it --payload FILE")
    sizes = [size if size > 0 else 1 for size in shape]
    random = np.random.default_rng(0)
    return [
        json.dumps({"data": {"ndarray": random.integers(0, 256, sizes).tolist()}}).encode("utf-8")
        for _ in range(count)
    ]


def main(arguments: Optional[List[str]] = None) -> int:
    """Checks a class.

    Returns:
        Exit status: 0 if it answers, and the same alone and batched; 1 if not; 2 on wrong use.
    """
    parser = argparse.ArgumentParser(
        prog="python -m kafka.check",
        description="Tries a wrapper class with sample payloads, alone and batched.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("class_name", metavar="Module.Class", help="the wrapper class")
    parser.add_argument(
        "--payload", type=Path, action="append", default=[], help="a file with a message's value"
    )
    parser.add_argument("--count", type=int, default=64, help="messages to send (64)")
    options = parser.parse_args(arguments)
    try:
        served = load_class(options.class_name, os.environ)
        payloads = _payloads(served, options)
        _print_capabilities(served)
        finding = compare(options.class_name, payloads)
    except (ClassNotUsable, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Retriable as error:
        print(f"error: the class asks to try again later: {error}", file=sys.stderr)
        return 1
    return _print_finding(finding, len(payloads))


def _payloads(served: ServedClass, options: Any) -> List[bytes]:
    if not options.payload:
        return sample_payloads(served, options.count)
    read = [path.read_bytes() for path in options.payload]
    return [read[number % len(read)] for number in range(max(options.count, len(read)))]


def _print_capabilities(served: ServedClass) -> None:
    found = [
        name
        for name in (
            "to_rows",
            "stack_to_rows",
            "row_tags",
            "class_names",
            "describe",
            "predict_raw",
            "tags",
        )
        if hasattr(served.instance, name)
    ]
    print(f"class     {type(served.instance).__module__}.{type(served.instance).__name__}")
    print(f"has       {', '.join(found) or 'predict only'}")
    print(f"batching  {'off: ' + served.why_alone if served.why_alone else 'on'}")


def _print_finding(finding: Finding, count: int) -> int:
    print(f"alone     {count} messages in {finding.alone_s:.3f} s")
    print(f"batched   {count} messages in {finding.batched_s:.3f} s")
    for text in finding.rejections[:5]:
        print(f"rejected  {text}")
    if finding.rejections:
        print(f"FAILED    {len(finding.rejections)} of {count} messages were rejected")
        return 1
    if finding.difference > TOLERANCE:
        print(f"FAILED    answers differ by {finding.difference:g} when batched;")
        print("          set KAFKA_BATCHING=off, or make predict work row by row")
        return 1
    print(f"ok        the same answers alone and batched (to {finding.difference:g})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
