"""Makes classes that Seldon's server recognises as its own, if seldon_core is imported."""

from __future__ import annotations

import functools
import sys
from typing import Any


def known_to_seldon(ours: type, module: str, name: str) -> type:
    """Returns a class that inherits from `ours` and from a class of seldon_core.

    Returns `ours` if it already inherits from that class, or if the module is not imported.

    Args:
        ours: a class of this package.
        module: name of seldon_core's module.
        name: name of the class in this module, which Seldon's server tests for.
    """
    theirs = getattr(sys.modules.get(module), name, None)
    if theirs is None or issubclass(ours, theirs):
        return ours
    return _both(ours, theirs)


@functools.lru_cache(maxsize=16)
def _both(ours: Any, theirs: Any) -> type:
    return type(ours.__name__, (ours, theirs), {"__module__": ours.__module__})
