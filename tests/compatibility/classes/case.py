"""A class that the runtime and Seldon both serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

ServiceType = Literal["MODEL", "TRANSFORMER", "OUTPUT_TRANSFORMER", "ROUTER", "COMBINER"]


@dataclass(frozen=True)
class Case:
    """One entry of the table.

    Attributes:
        name: for reports.
        factory: the class.
        service_type: Seldon's `SERVICE_TYPE`.
        parameters: (name, value, type) of `PREDICTIVE_UNIT_PARAMETERS`.
        counts_calls: the answer depends on the calls before it.
        is_row_wise: each row of the answer depends on its own row alone.
        is_declared: the class says that it is row-wise, rightly or not.
        is_about_replies: the class shows how replies are composed, which a few messages cover.
        is_in_trouble: the class always meets trouble that passes.
    """

    name: str
    factory: Callable[..., Any]
    service_type: ServiceType = "MODEL"
    parameters: tuple[tuple[str, str, str], ...] = ()
    counts_calls: bool = False
    is_row_wise: bool = False
    is_declared: bool = False
    is_about_replies: bool = False
    is_in_trouble: bool = False

    @property
    def class_name(self) -> str:
        """`Module.Class`, as in Seldon's `MODEL_NAME`."""
        return f"{self.factory.__module__}.{self.factory.__qualname__}"


def cases(*factories: Any, **options: Any) -> tuple[Case, ...]:
    """Entries for these classes, named after them."""
    return tuple(Case(factory.__name__, factory, **options) for factory in factories)
