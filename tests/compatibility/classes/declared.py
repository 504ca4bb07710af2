"""Classes that say that they are row-wise: rightly, and wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np
from seldon_core.user_model import SeldonResponse

from tests.compatibility.classes import rows, state
from tests.compatibility.classes.case import cases


class DeclaredTwice(rows.Twice):
    row_wise = True


class DeclaredLinear(rows.Linear):
    row_wise = True


class DeclaredSoftmax(rows.Softmax):
    row_wise = True


class DeclaredSingle(rows.Single):
    row_wise = True


class DeclaredRowSums(rows.RowSums):
    row_wise = True


class DeclaredRowLabels(rows.RowLabels):
    row_wise = True


class DeclaredRowObjects(rows.RowObjects):
    row_wise = True


class DeclaredRowFlags(rows.RowFlags):
    row_wise = True


class DeclaredRowSquares(rows.RowSquares):
    row_wise = True


class DeclaredRowTagged(rows.RowTagged):
    row_wise = True


class DeclaredPicky(rows.Picky):
    row_wise = True


class DeclaredWholeOrFraction(rows.WholeOrFraction):
    row_wise = True


class DeclaredInInit(rows.Twice):
    """Says so on the instance."""

    def __init__(self) -> None:
        self.row_wise = True


class DeclaredKeptBuffer(state.KeptBuffer):
    row_wise = True


class DeclaredReusedList(state.ReusedList):
    row_wise = True


class DeclaredDoublesInPlace(state.DoublesInPlace):
    row_wise = True


class DeclaredClearsInPlace(state.ClearsInPlace):
    row_wise = True


class DeclaredNamed(rows.Twice):
    """Its answer depends on the feature names."""

    row_wise = True

    def predict(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows) + len(names)


class DeclaredWithRowTags(rows.Twice):
    """A method `tags` speaks of the latest call only."""

    row_wise = True

    def __init__(self) -> None:
        self._total = 0.0

    def predict(self, rows: Any, names: Any) -> Any:
        self._total = float(np.sum(np.asarray(rows, dtype=np.float64)))
        return np.asarray(rows)

    def tags(self) -> Any:
        return {"total": self._total}


class DeclaredWithMetrics(rows.Twice):
    """A method `metrics` speaks of the latest call only."""

    row_wise = True

    def __init__(self) -> None:
        self._rows = 0

    def predict(self, rows: Any, names: Any) -> Any:
        self._rows = len(rows)
        return np.asarray(rows)

    def metrics(self) -> Any:
        return [{"type": "COUNTER", "key": "rows", "value": self._rows}]


class DeclaredWithMeta:
    """`meta` differs from message to message."""

    row_wise = True

    def predict(self, rows: Any, names: Any, meta: Any = None) -> Any:
        return [[(meta or {}).get("puid", "none")] for _ in rows]


class TurnsIntoRows:
    """Declares it with `to_rows`, which `predict` uses too."""

    def to_rows(self, payload: Any) -> Any:
        table = np.asarray(payload, dtype=np.float64)
        if table.ndim == 1:
            table = table[None]
        if table.ndim != 2 or not table.size:
            raise ValueError("two dimensions, please")
        return table

    def predict(self, rows: Any, names: Any) -> Any:
        return self.to_rows(rows) + 1


class TurnsBytesIntoRows(TurnsIntoRows):
    """Takes bytes too, and many messages at once."""

    row_tags = ("largest",)

    def to_rows(self, payload: Any) -> Any:
        if isinstance(payload, (bytes, bytearray)):
            payload = np.frombuffer(payload, dtype=np.uint8)
        return super().to_rows(payload)

    def stack_to_rows(self, stack: Any) -> Any:
        if isinstance(stack, list):
            return np.concatenate([self.to_rows(each) for each in stack])
        return np.concatenate([self.to_rows(each) for each in np.asarray(stack)])

    def predict(self, rows: Any, names: Any) -> Any:
        table = self.to_rows(rows)
        return SeldonResponse(table / 2, tags={"largest": table.max(axis=1).tolist()})

    def class_names(self) -> list[str]:
        return ["first", "second", "third"]


class TurnsIntoRowsOrRaw(TurnsIntoRows):
    """A class with both `to_rows` and `predict_raw`."""

    def predict_raw(self, message: Any) -> Any:
        return {"strData": "raw"}


class FalselyCentred(rows.Centred):
    row_wise = True


class FalselyMinMax(rows.MinMax):
    row_wise = True


class FalselyRanks(rows.Ranks):
    row_wise = True


class FalselyCumulative(rows.Cumulative):
    row_wise = True


class FalselyOneHot(rows.OneHot):
    row_wise = True


class FalselyNoisy(rows.Noisy):
    row_wise = True


class FalselyGuarded(rows.Guarded):
    row_wise = True


class FalselyShifted(rows.Shifted):
    row_wise = True


class FalselyManyRows(rows.ManyRows):
    row_wise = True


class FalselyVotes(rows.Votes):
    row_wise = True


class FalselyFirstRow(rows.FirstRow):
    row_wise = True


class FalselyLabelAndScore(rows.LabelAndScore):
    row_wise = True


class FalselyTransposed(rows.Transposed):
    row_wise = True


class FalselyTotal(rows.Total):
    row_wise = True


class FalselyColumns(rows.Columns):
    row_wise = True


class FalselyTagsOfAll(rows.TagsOfAll):
    row_wise = True


class FalselyMetricsOfAll(rows.MetricsOfAll):
    row_wise = True


class FalselySqueezed(rows.Squeezed):
    row_wise = True


class FalselyNothing(rows.Nothing):
    row_wise = True


class FalselyWholeOrFraction(rows.AnyWholeOrFraction):
    row_wise = True


class DeclaredMasked(rows.MaskedRows):
    row_wise = True


DECLARED = cases(
    DeclaredTwice,
    DeclaredLinear,
    DeclaredSoftmax,
    DeclaredSingle,
    DeclaredRowSums,
    DeclaredRowLabels,
    DeclaredRowObjects,
    DeclaredRowFlags,
    DeclaredRowSquares,
    DeclaredRowTagged,
    DeclaredPicky,
    DeclaredWholeOrFraction,
    DeclaredInInit,
    DeclaredKeptBuffer,
    DeclaredReusedList,
    DeclaredDoublesInPlace,
    DeclaredClearsInPlace,
    DeclaredNamed,
    DeclaredMasked,
    DeclaredWithRowTags,
    DeclaredWithMetrics,
    DeclaredWithMeta,
    TurnsIntoRows,
    TurnsBytesIntoRows,
    TurnsIntoRowsOrRaw,
    is_row_wise=True,
    is_declared=True,
)
FALSELY_DECLARED = cases(
    FalselyCentred,
    FalselyMinMax,
    FalselyRanks,
    FalselyCumulative,
    FalselyOneHot,
    FalselyNoisy,
    FalselyGuarded,
    FalselyShifted,
    FalselyManyRows,
    FalselyVotes,
    FalselyFirstRow,
    FalselyLabelAndScore,
    FalselyTransposed,
    FalselyTotal,
    FalselyColumns,
    FalselyTagsOfAll,
    FalselyMetricsOfAll,
    FalselySqueezed,
    FalselyNothing,
    FalselyWholeOrFraction,
    is_declared=True,
)
