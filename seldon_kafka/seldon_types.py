"""Classes of ours that Seldon's server knows too, in a process where seldon_core is imported."""

from __future__ import annotations

import functools
import sys
from typing import Any


def known_to_seldon(ours: type, module: str, name: str) -> type:
    """The class itself, or one that is also seldon_core's where that is imported.

    Args:
        ours: a class of this package.
        module: seldon_core's module.
        name: of its class, which the server tests for.
    """
    theirs = getattr(sys.modules.get(module), name, None)
    if theirs is None or issubclass(ours, theirs):
        return ours
    return _both(ours, theirs)


@functools.lru_cache(maxsize=16)
def _both(ours: Any, theirs: Any) -> type:
    return type(ours.__name__, (ours, theirs), {"__module__": ours.__module__})
