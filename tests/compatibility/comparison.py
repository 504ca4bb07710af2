"""When two documents say the same."""

from __future__ import annotations

import math
from typing import Any

from tests.compatibility.answer import Answer, Rejection, Reply

ABSOLUTE, RELATIVE = 1e-5, 1e-4


def same(expected: Answer, found: Answer) -> bool:
    """Whether both are refusals, or both replies of one form with the same document."""
    if isinstance(expected, Reply) and isinstance(found, Reply):
        return expected.form == found.form and alike(expected.document, found.document)
    return isinstance(expected, Rejection) and isinstance(found, Rejection)


def alike(expected: Any, found: Any) -> bool:
    """Whether two parsed documents agree: kinds and forms exactly, floats nearly."""
    if type(expected) is not type(found):
        return False
    if isinstance(expected, dict):
        return expected.keys() == found.keys() and all(
            alike(value, found[name]) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return len(expected) == len(found) and all(map(alike, expected, found))
    if isinstance(expected, float):
        return close(expected, found)
    return bool(expected == found)


def close(expected: float, found: float) -> bool:
    """Whether two floats are near each other, or the same NaN or infinity."""
    if math.isnan(expected) or math.isinf(expected):
        return expected == found or (math.isnan(expected) and math.isnan(found))
    return abs(found - expected) <= ABSOLUTE + RELATIVE * abs(expected)


def puid_of(answer: Reply) -> Any:
    """The reply's `meta.puid`; None if there is none."""
    document = answer.document
    meta = document.get("meta") if isinstance(document, dict) else None
    return meta.get("puid") if isinstance(meta, dict) else None


def without_puid(answer: Answer) -> Answer:
    """The answer without its id, and without a `meta` that has nothing else."""
    if not isinstance(answer, Reply) or not isinstance(answer.document, dict):
        return answer
    document = {name: part for name, part in answer.document.items() if name != "id"}
    meta = document.get("meta")
    if isinstance(meta, dict):
        rest = {name: part for name, part in meta.items() if name != "puid"}
        document = {**document, "meta": rest}
        if not rest:
            del document["meta"]
    return Reply(answer.form, document)


def is_finite(document: Any) -> bool:
    """Whether no number in the document is NaN or infinite."""
    if isinstance(document, dict):
        return all(map(is_finite, document.values()))
    if isinstance(document, list):
        return all(map(is_finite, document))
    return not isinstance(document, float) or math.isfinite(document)
