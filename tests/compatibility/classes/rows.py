"""Classes that answer row by row, and ones whose answer depends on the other rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from seldon_core.user_model import SeldonResponse

from tests.compatibility.classes.case import cases

# numpy's masked arrays have no types.
_MASKED: Any = np.ma


def _numbers(rows: Any) -> Any:
    return np.array(rows, dtype=np.float64)


class Twice:
    def predict(self, rows: Any, names: Any) -> Any:
        return rows * 2


class Linear:
    """Weights for as many columns as there are."""

    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)
        weights = np.linspace(-1, 1, table.shape[-1] * 2).reshape(table.shape[-1], 2)
        return table @ weights

    def class_names(self) -> list[str]:
        return ["low", "high"]


class Softmax:
    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)
        powers = np.exp(table - table.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)


class Single:
    """Computes in single precision."""

    def predict(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows, dtype=np.float32) / np.float32(3)


class RowSums:
    """One number for each row."""

    def predict(self, rows: Any, names: Any) -> Any:
        return _numbers(rows).sum(axis=-1)


class RowLabels:
    """A text for each row, in a list."""

    def predict(self, rows: Any, names: Any) -> Any:
        return ["even" if sum(row) % 2 == 0 else "odd" for row in _numbers(rows)]


class RowObjects:
    """A dict for each row, in a list."""

    def predict(self, rows: Any, names: Any) -> Any:
        return [{"first": float(row[0]), "size": len(row)} for row in _numbers(rows)]


class RowFlags:
    def predict(self, rows: Any, names: Any) -> Any:
        return _numbers(rows) > 2


class RowSquares:
    """A square of numbers for each row."""

    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)[:, :4]
        return table[:, :, None] * table[:, None, :]


class RowTagged:
    """Tags with an entry for each row."""

    row_tags = ("parity",)

    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)
        parity = ["even" if row.sum() % 2 == 0 else "odd" for row in table]
        return SeldonResponse(table[:, :1], tags={"parity": parity, "model": "rows"})


class Picky:
    """Fails at a row that holds a number above 90."""

    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)
        if (table > 90).any():
            raise ValueError("a number is above 90")
        return table + 1


class WholeOrFraction:
    """Whole numbers stay whole, each by itself."""

    def predict(self, rows: Any, names: Any) -> Any:
        return [
            [int(item) if float(item).is_integer() else float(item) for item in row]
            for row in _numbers(rows)
        ]


class AnyWholeOrFraction:
    """The answer is whole if all numbers of the call are."""

    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)
        return table.astype(np.int64) if (table % 1 == 0).all() else table


class Centred:
    def predict(self, rows: Any, names: Any) -> Any:
        return rows - rows.mean(axis=0)


class MinMax:
    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)
        span = table.max(axis=0) - table.min(axis=0)
        return (table - table.min(axis=0)) / np.where(span == 0, 1, span)


class Ranks:
    def predict(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows).argsort(axis=0).argsort(axis=0)


class Cumulative:
    def predict(self, rows: Any, names: Any) -> Any:
        return np.cumsum(rows, axis=0)


class OneHot:
    """As wide as the largest number asks for."""

    def predict(self, rows: Any, names: Any) -> Any:
        first = _numbers(rows)[:, 0].astype(np.int64) % 100
        return np.eye(int(first.max()) + 1)[first]


class Noisy:
    """The same noise at each call, but not in each row."""

    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)
        return table + np.random.default_rng(7).normal(size=table.shape)


class Guarded:
    """One bad row spoils all answers."""

    def predict(self, rows: Any, names: Any) -> Any:
        try:
            return [[_root(float(row[0]))] for row in rows]
        except Exception:
            return [[-1]] * len(rows)


def _root(number: float) -> float:
    if number % 2:
        raise ValueError("odd")
    return float(number**0.5)


class Sorted:
    def predict(self, rows: Any, names: Any) -> Any:
        return np.sort(np.asarray(rows), axis=0)


class Shifted:
    """Each row gets the answer of the row before it."""

    def predict(self, rows: Any, names: Any) -> Any:
        return np.roll(np.asarray(rows), 1, axis=0)


class ManyRows:
    """Each row has how many there are."""

    def predict(self, rows: Any, names: Any) -> Any:
        return [[len(rows)] for _ in rows]


class Votes:
    """Says whether a row is among the first two of the call."""

    def predict(self, rows: Any, names: Any) -> Any:
        return [[float(place < 2), float(np.sum(row))] for place, row in enumerate(rows)]


class Similarity:
    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)
        return table @ table.T


class FirstRow:
    def predict(self, rows: Any, names: Any) -> Any:
        return (_numbers(rows) * 3)[0]


class LabelAndScore:
    def predict(self, rows: Any, names: Any) -> Any:
        return ["label", float(_numbers(rows).mean())]


class Transposed:
    def predict(self, rows: Any, names: Any) -> Any:
        return rows.T


class ConstantList:
    def predict(self, rows: Any, names: Any) -> Any:
        return [0.25, 0.75]


class Total:
    def predict(self, rows: Any, names: Any) -> Any:
        return _numbers(rows).sum(axis=0, keepdims=True)


class Columns:
    """A dict of columns."""

    def predict(self, rows: Any, names: Any) -> Any:
        table = np.asarray(rows)
        return {f"c{place}": table[:, place].tolist() for place in range(table.shape[1])}


class Written:
    def predict(self, rows: Any, names: Any) -> Any:
        return f"{len(rows)} rows: {np.asarray(rows).tolist()}"


class Dumped:
    def predict(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows, dtype=np.float64).tobytes()


class TagsOfAll:
    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)
        return SeldonResponse(table, tags={"rows": len(table), "largest": float(table.max())})


class MetricsOfAll:
    def predict(self, rows: Any, names: Any) -> Any:
        table = _numbers(rows)
        metrics = [{"type": "COUNTER", "key": "rows", "value": len(table)}]
        return SeldonResponse(table, metrics=metrics)


class Squeezed:
    def predict(self, rows: Any, names: Any) -> Any:
        return np.squeeze(_numbers(rows) * 2)


class SqueezedTotals:
    """A number for one row, else a list of them."""

    def predict(self, rows: Any, names: Any) -> Any:
        return np.squeeze(_numbers(rows).sum(axis=-1))


class Nothing:
    """No dimension at all."""

    def predict(self, rows: Any, names: Any) -> Any:
        return np.array(_numbers(rows).sum())


class MaskedRows:
    """Hides numbers above 2."""

    def predict(self, rows: Any, names: Any) -> Any:
        return _MASKED.masked_greater(_numbers(rows), 2)


ROW_WISE = cases(
    Twice,
    Linear,
    Softmax,
    Single,
    RowSums,
    RowLabels,
    RowObjects,
    RowFlags,
    RowSquares,
    RowTagged,
    Picky,
    WholeOrFraction,
    is_row_wise=True,
)
DEPENDENT = cases(
    AnyWholeOrFraction,
    Centred,
    MinMax,
    Ranks,
    Cumulative,
    OneHot,
    Noisy,
    Guarded,
    Sorted,
    Shifted,
    ManyRows,
    Votes,
    Similarity,
    FirstRow,
    LabelAndScore,
    Transposed,
    ConstantList,
    Total,
    Columns,
    Written,
    Dumped,
    TagsOfAll,
    MetricsOfAll,
    Squeezed,
    SqueezedTotals,
    Nothing,
    MaskedRows,
)
