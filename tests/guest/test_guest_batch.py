"""A model's call out of what users have: every form gives the same batch, moves nothing, and says what it left out."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import initlab
from initlab.errors import InputError
from initlab.guest import batch_of
from initlab.rng import random_states

X = torch.arange(80.0).reshape(40, 2) / 80
Y = torch.arange(40) % 3
NAMES = [["ant", "bee", "cat"][int(y)] for y in Y]
FRAME = pd.DataFrame({"a": X[:, 0].numpy(), "b": X[:, 1].numpy(), "kind": NAMES})
CODED = "3 labels are coded in sorted order: 'ant' = 0, 'bee' = 1, 'cat' = 2"


class Texts(Dataset[Any]):
    """Samples as Hugging Face's datasets give them."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Any:
        return {"x": X[index].tolist(), "label": NAMES[index], "text": "a word"}


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter((X[i % 40], Y[i % 40]) for i in range(10**9))


class Once(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        raise AssertionError("it was begun")


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, x: Any, mask: Any, scale: float = 1.0) -> Any:
        return self.layer(x) * mask[:, None] * scale


class Own(nn.Module):
    """A model that computes its own loss, as Hugging Face's do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, x: Any, labels: Any = None, **more: Any) -> Any:
        logits = self.layer(x)
        return {"loss": nn.functional.cross_entropy(logits, labels)} if labels is not None else {"logits": logits}


DATASET = TensorDataset(X, Y)
# what the user has, what stands beside it
FORMS: dict[str, tuple[Any, Any]] = {
    "tensors": (X, Y),
    "arrays": (X.numpy(), Y.numpy()),
    "a pair": ((X, Y), None),
    "a list of two": ([X, Y], None),
    "arrays in a pair": ((X.numpy(), Y.numpy()), None),
    "lists as targets": (X, Y.tolist()),
    "labels": (X, NAMES),
    "labels in a pair": ((X, np.array(NAMES)), None),
    "a frame and a series": (FRAME[["a", "b"]], FRAME["kind"]),
    "a pair of frames": ((FRAME[["a", "b"]], FRAME[["kind"]]), None),
    "a frame and its target column": (FRAME, "kind"),
    "a mapping": ({"input": X, "labels": Y}, None),
    "a mapping of another name": ({"pixels": X, "label": Y}, None),
    "a user's mapping": (UserDict({"pixels": X, "target": Y}), None),
    "a Dataset": (DATASET, None),
    "a Dataset of mappings": (Texts(), None),
    "a DataLoader": (DataLoader(DATASET, batch_size=40), None),
    "a DataLoader with workers": (DataLoader(DATASET, batch_size=40, num_workers=2), None),
    "a DataLoader of batches": (DataLoader([(X, Y)], batch_size=None), None),  # type: ignore[arg-type]  # a list of batches will do
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_batch(form: str) -> None:
    given, beside = FORMS[form]
    found = batch_of(net(), given, beside)
    inputs = next(iter(found.kwargs.values())) if found.kwargs else found.args[0]
    assert torch.allclose(inputs, X, atol=1e-7)
    assert torch.equal(found.targets, Y)
    assert found.coded in ("", CODED)
    assert (found.coded == CODED) == any(
        "cat" in str(part) for part in (given, beside)
    ) or form == "a Dataset of mappings"


def test_a_dataset_is_read_over_its_whole_length() -> None:
    found = batch_of(net(), TensorDataset(torch.arange(2000.0).reshape(1000, 2), torch.arange(1000) // 500))
    assert (len(found.targets), found.targets.sum()) == (64, 32)
    assert found.notes == ("inputs: 64 of 1000 samples of the TensorDataset, at equal distances",)


def loaders() -> dict[str, Any]:
    return {
        "shuffled": DataLoader(DATASET, batch_size=8, shuffle=True),
        "with a generator": DataLoader(DATASET, batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(3)),
        "an endless stream": DataLoader(Endless(), batch_size=8),
        "a stream": Endless(),
    }


@pytest.mark.parametrize("name", loaders())
def test_reading_a_batch_moves_no_random_state_and_gives_the_same_batch_each_time(name: str) -> None:
    loader, fresh = loaders()[name], loaders()[name]
    model = net()
    before = random_states()
    first, second = batch_of(model, loader), batch_of(model, loader)
    assert random_states().same_as(before)
    assert torch.equal(first.args[0], second.args[0])
    torch.manual_seed(1)
    after = next(iter(loader))
    torch.manual_seed(1)
    assert torch.equal(after[0], next(iter(fresh))[0])


# model, what a loader gave or the user wrote, number of positional arguments, whether targets are among it
SEQUENCES: list[tuple[nn.Module, Any, int, bool]] = [
    (Two(), (X, torch.ones(40)), 2, False),
    (Two(), (X, torch.ones(40), 2.0), 3, False),
    (Two(), (X, torch.ones(40), 2.0, Y), 3, True),
    (Two(), DataLoader(TensorDataset(X, torch.ones(40)), batch_size=40), 2, False),
    (Two(), DataLoader(TensorDataset(X, torch.ones(40), Y), batch_size=40), 2, True),
    (net(), DataLoader(TensorDataset(X), batch_size=40), 1, False),
    (Own(), TensorDataset(X, Y), 1, True),
]


@pytest.mark.parametrize(("model", "given", "count", "has_targets"), SEQUENCES)
def test_a_sequence_ends_with_targets_where_the_model_takes_no_more(
    model: nn.Module, given: Any, count: int, has_targets: bool
) -> None:
    found = batch_of(model, given)
    assert (len(found.args), found.targets is not None) == (count, has_targets)


def test_a_hugging_face_batch_keeps_its_labels_for_the_models_own_loss() -> None:
    report = initlab.inspect(Own(), UserDict({"x": X, "label": Y, "text": ["a"] * 40}))
    assert report.loss_name == "the model's own output['loss']"
    assert "inputs: 'label' is passed on as 'labels'" in report.notes
    assert "inputs: 'text' is left out, which the model does not take" in report.notes


def test_inspect_plan_init_and_lsuv_take_a_loader_and_say_so() -> None:
    loader, words = DataLoader(DATASET, batch_size=32, shuffle=True), "the first batch of the DataLoader"
    assert f"inputs: {words}" in initlab.inspect(net(), loader).notes
    said = (f"example_inputs: {words}", "example_inputs: a plan does not use their targets")
    assert set(said) <= set(initlab.plan(net(), loader).warnings)
    assert set(said) <= set(initlab.init_(net(), example_inputs=loader).warnings)
    initlab.fit.lsuv_(net(), loader)


def test_labels_are_said_by_inspect_and_compare() -> None:
    assert f"targets: {CODED}" in initlab.inspect(net(), FRAME, "kind").notes
    result = initlab.compare(net, (FRAME, "kind"), (FRAME, "kind"), ["he_normal"], seeds=1, steps=2, progress=False)
    assert f"targets: {CODED}" in result.notes


def test_fix_works_on_the_batch_that_was_read() -> None:
    model = net()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    fix = initlab.inspect(model, DataLoader(DATASET, batch_size=40)).fix()
    assert fix.before == "untrainable"
    assert fix.after in ("healthy", "slow")


class Whole(nn.Module):
    """A model whose one argument is a batch, whatever that is called."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, batch: Any) -> Any:
        return self.layer(batch["image"] * batch["mask"])


@pytest.mark.parametrize("target", ["label", None])
def test_a_model_of_one_argument_takes_a_mapping_whole(target: str | None) -> None:
    given = {"image": X, "mask": torch.ones_like(X), "words": NAMES}
    found = batch_of(Whole(), given if target is None else {**given, target: Y})
    assert not found.kwargs
    assert found.args[0]["image"] is X
    assert (found.targets is None) == (target is None)
    assert initlab.inspect(Whole(), {**given, "label": Y}, loss="cross_entropy").layers


class Broken(Dataset[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        raise OSError("no such file\nat all")


FAULTS: dict[str, tuple[Any, Any, str]] = {
    "an iterator": (iter(DataLoader(DATASET)), None, "would be used up; pass what it runs over, or one batch"),
    "a stream that is its own iterator": (Once(), None, "reading the Once would use it up"),
    "targets twice": (DataLoader(DATASET), Y, "inputs hold targets, and targets were given beside them"),
    "a frame with text": (FRAME, None, "column 'kind' holds text"),
    "a column that is not there": (FRAME, "knd", "unknown target column of inputs 'knd'; did you mean 'kind'"),
    "no samples": (TensorDataset(X[:0], Y[:0]), None, "inputs has no samples; at least one is needed"),
    "no batch": (DataLoader(DATASET, batch_size=50, drop_last=True), None, "inputs has no batch: 40 samples"),
    "a Dataset that raises": (Broken(), None, "inputs: reading the Broken failed: OSError: no such file at all"),
    "a missing label": (X, ["ant", None] * 20, "None among its labels, in row 1"),
    "text": ("digits", None, "must be a tensor or array, .* or a DataLoader or Dataset of these; got the str 'digits'"),
    "a number": (3, None, "got int with no tensor in it"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_batch_is_refused_in_one_line(fault: str) -> None:
    given, beside, words = FAULTS[fault]
    with pytest.raises(InputError, match=words) as caught:
        initlab.inspect(net(), given, beside)
    assert "\n" not in str(caught.value)
