"""Small classes of every kind that Seldon's wrapper serves."""

from __future__ import annotations

from tests.compatibility.classes.case import Case
from tests.compatibility.classes.declared import DECLARED, FALSELY_DECLARED
from tests.compatibility.classes.errors import ERRORS
from tests.compatibility.classes.features import FEATURES
from tests.compatibility.classes.raw import RAW
from tests.compatibility.classes.rows import DEPENDENT, ROW_WISE
from tests.compatibility.classes.state import STATE
from tests.compatibility.classes.tables import TABLES
from tests.compatibility.classes.transformers import TRANSFORMERS
from tests.compatibility.classes.values import VALUES

__all__ = ["CLASSES", "Case"]

CLASSES: tuple[Case, ...] = (
    *ROW_WISE,
    *DEPENDENT,
    *STATE,
    *DECLARED,
    *FALSELY_DECLARED,
    *FEATURES,
    *RAW,
    *TRANSFORMERS,
    *ERRORS,
    *VALUES,
    *TABLES,
)
