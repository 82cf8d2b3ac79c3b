"""The user's data as tensors: every form it comes in, and every fault that must be found before training."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from initlab import data
from initlab.data import Coding, as_tensors, digits, remarks
from initlab.errors import InputError

X = np.arange(12, dtype=np.float64).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])
NAMES = ["cat", "owl"] * 3
FEATURES, TARGETS = torch.from_numpy(X).float(), torch.from_numpy(Y)


class Samples(Dataset[Any]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return X[index], int(Y[index])


class Mappings(Samples):
    def __getitem__(self, index: int) -> Any:
        return {"x": X[index], "y": Y[index]}


class ManyInputs(Samples):
    def __getitem__(self, index: int) -> Any:
        return {"a": X[index], "b": X[index], "labels": Y[index]}


class Named(Samples):
    """Labels that are text."""

    def __getitem__(self, index: int) -> Any:
        return X[index], NAMES[index]


class Noisy(Samples):
    """Draws from every global generator, as transforms do."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return X[index] + torch.rand(2).numpy() + np.random.rand(2) + random.random(), int(Y[index])


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return iter((torch.tensor(x), torch.tensor(y)) for x, y in zip(X, Y, strict=True))


class OnDisk(Dataset[Any]):
    """As Hugging Face's: rows are mappings of all columns."""

    column_names = ("a", "b", "kind")

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> Any:
        return {"a": X[index, 0], "b": X[index, 1], "kind": Y[index]}

    def to_pandas(self) -> pd.DataFrame:
        return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "kind": Y})


class Unsized(Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        return FEATURES[index], int(Y[index])


class LazyFrame:
    """As polars', which is no dependency."""

    def collect(self) -> Any:
        raise AssertionError


FORMS: dict[str, Any] = {
    "arrays": (X, Y),
    "a list of two": [X, Y],
    "tensors": (FEATURES, TARGETS),
    "lists": (X.tolist(), Y.tolist()),
    "data frame and series": (pd.DataFrame(X), pd.Series(Y)),
    "int32 labels in a column": (X, Y[:, None].astype(np.int32)),
    "boolean labels": (X, Y.astype(bool)),
    "a list of tensors": (list(FEATURES), list(TARGETS)),
    "read-only array": (np.broadcast_to(X, X.shape), Y),
    "big-endian array": (X.astype(">f8"), Y.astype(">i4")),
    "fortran order": (np.asfortranarray(X), Y),
    "requires grad": (FEATURES.clone().requires_grad_(), TARGETS),
    "Dataset": Samples(),
    "TensorDataset": TensorDataset(FEATURES, TARGETS),
    "Subset": Subset(TensorDataset(FEATURES, TARGETS), range(6)),
    "DataLoader": DataLoader(TensorDataset(FEATURES, TARGETS), batch_size=4),
    "shuffled DataLoader is read in order": DataLoader(TensorDataset(FEATURES, TARGETS), batch_size=4, shuffle=True),
    "IterableDataset": Stream(),
    "DataLoader of a stream": DataLoader(Stream(), batch_size=4),
    "samples that are mappings": Mappings(),
    "batches that are mappings": DataLoader(Mappings(), batch_size=4),
    "data frame and its target column": (pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "kind": Y}), "kind"),
    "columns of several types": (pd.DataFrame({"a": X[:, 0].astype(int), "b": X[:, 1]}), pd.Series(Y)),
    "list of samples": [(x, int(y)) for x, y in zip(FEATURES, Y, strict=True)],
    "generator": None,
    "a mapping": {"X": X, "Y": Y},
    "a table on disk and its target column": (OnDisk(), "kind"),
    "Dataset without a length": Unsized(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_tensors(form: str) -> None:
    given = ((x, int(y)) for x, y in zip(X, Y, strict=True)) if form == "generator" else FORMS[form]
    x, y = as_tensors(given)
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    assert torch.equal(x, FEATURES)
    assert torch.equal(y, TARGETS)


LABELS: dict[str, Any] = {
    "a list": (X, NAMES),
    "an array": (X, np.array(NAMES)),
    "objects": (X, np.array(NAMES, dtype=object)),
    "a series": (pd.DataFrame(X), pd.Series(NAMES)),
    "a categorical series": (pd.DataFrame(X), pd.Series(NAMES, dtype="category")),
    "a frame of one column": (pd.DataFrame(X), pd.DataFrame({"kind": NAMES})),
    "a target column": (pd.DataFrame({"a": X[:, 0], "kind": NAMES, "b": X[:, 1]}), "kind"),
    "a Dataset": Named(),
    "a DataLoader": DataLoader(Named(), batch_size=4),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_are_coded_in_sorted_order_and_said(form: str) -> None:
    coding = Coding()
    x, y = as_tensors(LABELS[form], coding=coding)
    assert torch.equal(x, FEATURES)
    assert torch.equal(y, TARGETS)
    assert coding.words == "2 labels are coded in sorted order: 'cat' = 0, 'owl' = 1"


def test_later_data_are_coded_as_the_first_were() -> None:
    coding = Coding()
    as_tensors((X, ["cat", "owl", "ant"] * 2), coding=coding)
    assert as_tensors((X, NAMES), "test", coding=coding)[1].tolist() == [1, 2] * 3
    with pytest.raises(InputError, match="unknown label in test Y 'bat'; did you mean"):
        as_tensors((X, ["bat"] * 6), "test", coding=coding)


@pytest.mark.parametrize(
    ("x", "y", "x_dtype", "y_dtype"),
    [
        (X.astype(np.uint8), Y, torch.float32, torch.int64),
        (X.astype(np.int32), Y, torch.int64, torch.int64),
        (X.astype(np.uint16), Y, torch.int64, torch.int64),
        (X.astype(np.float16), Y.astype(np.float64), torch.float32, torch.float32),
        (FEATURES.bfloat16(), TARGETS, torch.float32, torch.int64),
        (X, X, torch.float32, torch.float32),
    ],
)
def test_number_types(x: Any, y: Any, x_dtype: torch.dtype, y_dtype: torch.dtype) -> None:
    found = as_tensors((x, y))
    assert (found[0].dtype, found[1].dtype) == (x_dtype, y_dtype)


def with_nan(value: float) -> np.ndarray:
    bad = X.copy()
    bad[4, 1] = value
    return bad


class Ragged(Samples):
    def __getitem__(self, index: int) -> Any:
        return torch.zeros(index + 1), 0


class Corrupt(Samples):
    def __getitem__(self, index: int) -> Any:
        if index == 3:
            raise OSError("cut short")
        return super().__getitem__(index)


FAULTS: dict[str, tuple[Any, str]] = {
    "NaN": ((with_nan(np.nan), Y), "X has 1 NaN or infinite values, the first in row 4"),
    "infinity": ((with_nan(-np.inf), Y), "X has 1 NaN or infinite values"),
    "NaN targets": ((X, with_nan(np.nan)), "Y has 1 NaN or infinite values"),
    "lengths differ": ((X, Y[:5]), "X has 6 rows and Y 5"),
    "no rows": ((X[:0], Y[:0]), "no rows"),
    "no features": ((X[:, :0], Y), "no rows"),
    "scalars": ((1.0, 2.0), "need a first axis"),
    "words": ((np.array([["a", "b"]] * 6), Y), "must be numbers"),
    "objects": ((np.array([[object()] * 2] * 6), Y), "must be numbers"),
    "complex": ((X + 1j, Y), "must be real numbers"),
    "ragged": (([[1.0], [1.0, 2.0]], [0, 1]), "must be numbers of one shape"),
    "sparse": ((FEATURES.to_sparse(), TARGETS), "must be dense"),
    "one array": (X, "must be \\(X, Y\\)"),
    "a path": ("data.npz", "must be \\(X, Y\\)"),
    "a mapping of many": ({"X": X, "Y": Y, "Z": Y}, "a mapping of one input and its target"),
    "a data frame": (pd.DataFrame({"a": X[:, 0], "kind": Y}), r"the columns a, kind; .* such as \(data, 'kind'\)"),
    "a data frame with a label": (pd.DataFrame({"Label": Y, "a": X[:, 0]}), r"such as \(data, 'Label'\)"),
    "a table on disk": (OnDisk(), r"the columns a, b, kind; .* such as \(data, 'kind'\)"),
    "a lazy frame": (LazyFrame(), r"give data.collect\(\)"),
    "a lazy frame and its target column": ((LazyFrame(), "kind"), r"give data\[0\].collect\(\)"),
    "None": (None, "must be \\(X, Y\\)"),
    "three arrays": ((X, Y, Y), "item 0 must be \\(x, y\\)"),
    "samples of many inputs": (
        ManyInputs(),
        "item 0 must be \\(x, y\\), or a mapping of one input .* got a mapping of a, b",
    ),
    "text features": ((pd.DataFrame({"a": X[:, 0], "city": list("abcabc")}), Y), "column 'city' holds text"),
    "no such target column": ((pd.DataFrame({"a": X[:, 0], "kind": Y}), "knd"), "did you mean 'kind'"),
    "a label that is missing": ((X, np.array(["a", None, "b", "a", "b", "a"], dtype=object)), "None among its labels"),
    "two columns of labels": ((X, np.array([["a", "b"]] * 6)), "must be one column of labels"),
    "samples of different shapes": (Ragged(), "samples differ in shape"),
    "a sample that raises": (Corrupt(), "reading item 3 of the Corrupt failed: OSError: cut short"),
    "a batch that raises": (DataLoader(Corrupt(), batch_size=2), "reading item 1 of the DataLoader failed: OSError"),
    "empty Dataset": (TensorDataset(FEATURES[:0], TARGETS[:0]), "no rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_refused_in_one_line(fault: str) -> None:
    given, words = FAULTS[fault]
    with pytest.raises(InputError, match=words) as caught:
        as_tensors(given)
    assert "\n" not in str(caught.value)


def test_more_than_fits_is_refused_before_it_is_read() -> None:
    class Endless(Samples):
        read = 0

        def __len__(self) -> int:
            return 10**9

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            Endless.read += 1
            return torch.zeros(1000), 0

    with pytest.raises(InputError, match=r"takes about 3,7\d\d.\d GiB in memory"):
        as_tensors(Endless(), most_bytes=2**30)
    assert Endless.read == 1


def test_an_endless_stream_is_stopped() -> None:
    def endless() -> Iterator[tuple[Any, Any]]:
        while True:
            yield torch.zeros(1000), 0

    with pytest.raises(InputError, match="in memory"):
        as_tensors(endless(), most_bytes=2**20)


@pytest.mark.parametrize(
    "given", [Noisy(), DataLoader(Noisy(), batch_size=2, shuffle=True)], ids=["Dataset", "DataLoader"]
)
def test_no_global_random_state_is_moved_and_noise_is_the_same_each_time(given: Any) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]  # legacy state is a tuple
    first = as_tensors(given)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]  # legacy state is a tuple
    assert random.getstate() == before[2]
    torch.rand(3)
    assert torch.equal(as_tensors(given)[0], first[0])


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, np.zeros(6, dtype=int), ["all 6 targets are the same, 0"]),
        (X * 0, Y, ["all 2 features are constant"]),
        (np.c_[X, np.ones(6)], Y, ["1 of 3 features are constant"]),
        (X[:1], Y[:1], ["a single sample"]),
        (X * 100, Y, ["features reach 1,100"]),
        (X, Y, []),
    ],
)
def test_what_is_allowed_and_yet_worth_saying(x: Any, y: Any, words: list[str]) -> None:
    found = remarks(*as_tensors((x, y)))
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))


def test_digits_are_split_within_each_class_and_standardised() -> None:
    split = digits()
    assert [len(split.train[0]), len(split.test[0])] == [1442, 355]
    shares = torch.bincount(split.test[1]) / (torch.bincount(split.test[1]) + torch.bincount(split.train[1]))
    assert float(shares.min()) > 0.19
    assert float(shares.max()) < 0.21
    assert abs(float(split.train[0].double().mean())) < 1e-6
    assert abs(float(split.train[0].double().pow(2).mean()) - 1) < 1e-6
    plain = digits(normalize=False, flat=False)
    assert plain.train[0].shape == (1442, 1, 8, 8)
    assert (float(plain.train[0].min()), float(plain.train[0].max())) == (0.0, 1.0)


def test_no_digit_is_in_both_parts() -> None:
    split = data.digits(normalize=False)
    both = torch.cat([split.train[0], split.test[0]])
    assert len(torch.unique(both, dim=0)) == 1797
