"""Classes that the runtime refuses when it starts."""

from __future__ import annotations

from typing import Any

from seldon_core.user_model import SeldonComponent

from tests.compatibility.classes.case import Case, cases


class WithoutMethods:
    """Seldon answers an empty array to everything."""


class ComponentWithoutMethods(SeldonComponent):  # type: ignore[misc]
    """The inherited methods only say that they are not implemented."""


class TakesRowsOnly:
    """Seldon always passes the feature names too."""

    def predict(self, rows: Any) -> Any:
        return rows


class AsyncPredict:
    """Seldon does not await the answer."""

    async def predict(self, rows: Any, names: Any) -> Any:
        return rows


class Routes:
    def route(self, rows: Any, names: Any) -> int:
        return 0


class Combines:
    def aggregate(self, rows: Any, names: Any) -> Any:
        return rows[0]


UNSERVABLE: tuple[Case, ...] = (
    *cases(WithoutMethods, ComponentWithoutMethods, TakesRowsOnly, AsyncPredict),
    Case("Routes", Routes, "ROUTER"),
    Case("Combines", Combines, "COMBINER"),
)
