"""Arrays and tables that others make: Arrow's, masked ones, of another byte order, with columns of one name."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import initlab

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


class Column:
    """As pyarrow's, which is no dependency."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def to_numpy(self, zero_copy_only: bool = True) -> Any:
        assert not zero_copy_only
        return self.values


class Table:
    """As pyarrow's tables and record batches: `columns` are arrays without names, and there is no `to_numpy`."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self._columns = columns
        self.column_names, self.num_rows = list(columns), len(next(iter(columns.values())))

    @property
    def columns(self) -> list[Column]:
        return [self.column(name) for name in self.column_names]

    def column(self, name: str) -> Column:
        return Column(self._columns[name])

    def select(self, names: list[str]) -> Table:
        return Table({name: self._columns[name] for name in names})

    def to_pydict(self) -> dict[str, Any]:
        return self._columns


TABLE = Table(
    {**{name: X[:, at] for at, name in enumerate("abcd")}, "kind": np.array(["x", "y", "z"], dtype=object)[Y]}
)


def test_arrow_tables_are_frames() -> None:
    plain = initlab.inspect(model(), X, Y)
    for x, y in ((TABLE, "kind"), (TABLE.select(list("abcd")), Y)):
        assert initlab.inspect(model(), x, y).loss == pytest.approx(plain.loss)
    with pytest.raises(initlab.InputError, match="unknown target column of inputs 'kin'; did you mean 'kind'"):
        initlab.inspect(model(), TABLE, "kin")
    settings: dict[str, Any] = {"schemes": ["he_normal", "xavier_normal"], "seeds": 1, "steps": 2, "lr": 1e-3}
    assert initlab.compare(model, (TABLE, "kind"), (TABLE, "kind"), **settings).best


@pytest.mark.parametrize("verb", ["inspect", "compare"])
def test_arrays_of_another_byte_order_and_masked_ones(verb: str) -> None:
    def run(x: Any) -> Any:
        if verb == "inspect":
            return initlab.inspect(model(), x, Y)
        settings: dict[str, Any] = {"schemes": ["he_normal", "xavier_normal"], "seeds": 1, "steps": 2, "lr": 1e-3}
        return initlab.compare(model, (x, Y), (x, Y), **settings)

    run(X.astype(">f4"))
    run(np.ma.array(X, mask=np.zeros_like(X, dtype=bool)))
    with pytest.raises(initlab.InputError, match=r"has 3 masked values; fill them"):
        run(np.ma.array(X, mask=np.arange(X.size).reshape(X.shape) < 3))


def test_two_columns_of_one_name_are_named() -> None:
    frame = pd.DataFrame(X, columns=["a", "a", "b", "c"])
    with pytest.raises(initlab.InputError, match="two columns 'a'"):
        initlab.inspect(model(), frame, Y)


def test_complex_arrays_are_taken_as_complex_tensors_are() -> None:
    class Magnitude(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 16, dtype=torch.cfloat), nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x).abs())

    waves = X + 1j * X[::-1]
    torch.manual_seed(0)
    made = Magnitude()
    assert (
        initlab.inspect(made, waves, Y).loss == initlab.inspect(made, torch.tensor(waves, dtype=torch.cfloat), Y).loss
    )


def test_inputs_that_require_a_gradient_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        initlab.inspect(model(), torch.tensor(X, requires_grad=True), torch.tensor(Y))
