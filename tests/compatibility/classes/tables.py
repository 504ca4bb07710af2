"""Classes that answer with pandas' tables, where pandas is installed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from tests.compatibility.classes.case import Case, cases

_HAS_PANDAS = importlib.util.find_spec("pandas") is not None


def _pandas() -> Any:
    return importlib.import_module("pandas")


class Table:
    def predict(self, rows: Any, names: Any) -> Any:
        return _pandas().DataFrame({"a": [1.5, 2.5], "b": [3.5, 4.5]})


class Column:
    def predict(self, rows: Any, names: Any) -> Any:
        return _pandas().Series([1.5, 2.5], name="a")


class TableAsDict:
    """Its keys are the row numbers."""

    def predict(self, rows: Any, names: Any) -> Any:
        return _pandas().DataFrame({"a": [1.5, 2.5]}).to_dict()


class Timestamp:
    def predict(self, rows: Any, names: Any) -> Any:
        return {"at": _pandas().Timestamp("2024-02-29T12:30:00")}


TABLES: tuple[Case, ...] = (
    cases(Table, Column, TableAsDict, Timestamp, is_about_replies=True) if _HAS_PANDAS else ()
)
