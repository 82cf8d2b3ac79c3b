"""`initlab.nn.init`: torch's signatures, torch's laws, named streams, and a callable of one tensor within `streams`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import initlab
from initlab.errors import InputError

FUNCTIONS = [name for name in torch.nn.init.__all__ if name.endswith("_")]

# (function, its arguments, shape): the ones that draw.
DRAWS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("uniform_", {"a": -0.3, "b": 0.1}, (150, 200)),
    ("normal_", {"mean": 0.1, "std": 0.02}, (150, 200)),
    ("trunc_normal_", {"std": 0.02}, (150, 200)),
    ("trunc_normal_", {"mean": 0.2, "std": 1.0, "a": -0.5, "b": 1.5}, (150, 200)),
    ("trunc_normal_", {"std": 1.0, "a": 0.0, "b": math.inf}, (150, 200)),
    ("xavier_uniform_", {"gain": 2.0}, (40, 30, 5, 5)),
    ("xavier_normal_", {}, (150, 200)),
    ("kaiming_uniform_", {"a": math.sqrt(5)}, (40, 30, 5, 5)),
    ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "relu"}, (150, 200)),
    ("kaiming_normal_", {"nonlinearity": "tanh"}, (150, 200)),
    ("sparse_", {"sparsity": 0.3, "std": 0.5}, (150, 200)),
    ("orthogonal_", {"gain": 2.0}, (150, 200)),
]


def _pair(function: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> tuple[np.ndarray[Any, Any], ...]:
    torch.manual_seed(11)
    theirs = getattr(torch.nn.init, function)(torch.empty(shape), **arguments)
    ours = getattr(initlab.nn.init, function)(torch.empty(shape), **arguments, name="fc.weight", seed=5)
    return ours.double().numpy().ravel(), theirs.double().numpy().ravel()


def _one_law(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> bool:
    """Equal counts between torch's own quantiles, no distance of the distributions, and the same std: the ratio of two
    stds of 30,000 values has a standard error of at most 0.6%."""
    edges = np.unique(np.quantile(theirs, np.linspace(0, 1, 33)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, values), minlength=edges.size + 1) for values in (ours, theirs)]
    likely = stats.chi2_contingency(counts).pvalue > 1e-4 and stats.ks_2samp(ours, theirs).pvalue > 1e-4
    same_reach = 0.75 < np.abs(ours).max() / np.abs(theirs).max() < 1.33
    return bool(likely and same_reach and abs(ours.std() / theirs.std() - 1) < 0.027)


@pytest.mark.parametrize(("function", "arguments", "shape"), DRAWS)
def test_the_law_is_torchs(function: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    assert _one_law(*_pair(function, arguments, shape))


def test_a_law_that_is_not_torchs_is_told_apart() -> None:
    _, theirs = _pair("normal_", {"std": 0.02}, (150, 200))
    wrong = initlab.nn.init.normal_(torch.empty(150, 200), std=0.0208, name="w").double().numpy().ravel()
    assert not _one_law(wrong, theirs)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_signature_is_torchs_with_name_and_seed(function: str) -> None:
    ours = list(inspect.signature(getattr(initlab.nn.init, function)).parameters.values())
    theirs = list(inspect.signature(getattr(torch.nn.init, function)).parameters.values())
    assert [p.name for p in ours] == [*(p.name for p in theirs), "name", "seed"]
    assert [p.default for p in ours[: len(theirs)]] == [p.default for p in theirs]


@pytest.mark.parametrize("function", ["orthogonal_", "sparse_"])
def test_structured_laws_keep_their_structure(function: str) -> None:
    w = torch.empty(30, 50)
    if function == "sparse_":
        initlab.nn.init.sparse_(w, 0.31, name="w")
        assert ((w == 0).sum(0) == math.ceil(0.31 * 30)).all()
    else:
        initlab.nn.init.orthogonal_(w, gain=3.0, name="w")
        torch.testing.assert_close(w @ w.T, 9 * torch.eye(30), atol=1e-4, rtol=0)


def test_values_follow_from_seed_and_name_and_torchs_generator_stays() -> None:
    state = torch.get_rng_state()
    one, same, name, seed = (torch.empty(5, 4) for _ in range(4))
    initlab.nn.init.xavier_uniform_(one, name="a.weight", seed=1)
    initlab.nn.init.xavier_uniform_(same, name="module.a.weight", seed=1)
    initlab.nn.init.xavier_uniform_(name, name="b.weight", seed=1)
    initlab.nn.init.xavier_uniform_(seed, name="a.weight", seed=2)
    assert torch.equal(one, same)
    assert not torch.equal(one, name)
    assert not torch.equal(one, seed)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("std", [2.0**31, 2.0**64])
def test_a_normal_that_is_flat_over_its_interval_is_uniform_there(std: float) -> None:
    drawn = initlab.nn.init.trunc_normal_(torch.empty(100, 100), std=std, name="w", seed=1)
    assert bool((drawn.abs() <= 2).all())
    assert float(drawn.std()) == pytest.approx(4 / math.sqrt(12), rel=0.02)  # 10,000 draws: 0.0045 is one sigma


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0)])
@pytest.mark.parametrize("function", ["uniform_", "trunc_normal_", "xavier_normal_", "orthogonal_", "sparse_"])
def test_a_tensor_without_elements_is_left_as_it_is(function: str, shape: tuple[int, int]) -> None:
    arguments = (0.5,) if function == "sparse_" else ()
    empty = torch.empty(shape)
    assert getattr(initlab.nn.init, function)(empty, *arguments, name="w") is empty


@pytest.mark.parametrize("function", ["normal_", "trunc_normal_", "xavier_normal_", "orthogonal_", "sparse_"])
def test_within_streams_the_name_is_found_from_the_tensor(function: str) -> None:
    method: Callable[..., Any] = getattr(initlab.nn.init, function)
    arguments = (0.5,) if function == "sparse_" else ()
    net = nn.ModuleDict({"fc": nn.Linear(6, 5)})
    with initlab.streams(net, seed=4) as log:
        method(net["fc"].weight, *arguments)
    alone = method(torch.empty(5, 6), *arguments, name="fc.weight", seed=4)
    assert torch.equal(net["fc"].weight, alone)
    assert log["fc.weight"].draws == 1
    with initlab.streams(net, seed=4) as log:
        method(net["fc"].weight, *arguments)
        method(net["fc"].weight, *arguments)
    assert log["fc.weight"].draws == 2
    assert not torch.equal(net["fc"].weight, alone)


def test_low_precision_is_rounded_once_and_complex_keeps_the_second_moment() -> None:
    low, full = torch.empty(30, 40, dtype=torch.bfloat16), torch.empty(30, 40)
    for w in (low, full):
        initlab.nn.init.trunc_normal_(w, std=0.02, name="w")
    assert torch.equal(low, full.bfloat16())
    w = initlab.nn.init.normal_(torch.empty(60, 40, dtype=torch.complex64), std=0.5, name="w")
    assert float(w.abs().square().mean()) == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: initlab.nn.init.normal_(w), "name must be the parameter's name"),
        (lambda w: initlab.nn.init.normal_(w, std=-1, name="w"), "std"),
        (lambda w: initlab.nn.init.normal_(w, math.nan, name="w"), "mean"),
        (lambda w: initlab.nn.init.uniform_(w, 1, 0, name="w"), "low must not exceed high"),
        (lambda w: initlab.nn.init.trunc_normal_(w, a="x", name="w"), "a must be a finite number"),
        (lambda w: initlab.nn.init.trunc_normal_(w, a=1, b=1, name="w"), "a must be below b"),
        (lambda w: initlab.nn.init.normal_(w, name="w", seed=-1), "seed"),
        (lambda w: initlab.nn.init.normal_(w, name=3), "name must be a string"),
        (lambda w: initlab.nn.init.normal_(w, generator=torch.Generator(), name="w"), "generator must be None"),
        (lambda w: initlab.nn.init.normal_(w.int(), name="w"), "'w' is int32"),
        (lambda w: initlab.nn.init.normal_(w[:1].expand(4, 3), name="w"), "overlaps itself"),
        (lambda w: initlab.nn.init.normal_(3, name="w"), "tensor must be a torch.Tensor"),
        (lambda w: initlab.nn.init.xavier_normal_(w[0], name="w"), "at least 2 axes"),
        (lambda w: initlab.nn.init.kaiming_normal_(w, mode="fan", name="w"), "mode must be"),
        (lambda w: initlab.nn.init.kaiming_normal_(w, nonlinearity="gelu", name="w"), "nonlinearity"),
        (lambda w: initlab.nn.init.kaiming_normal_(w, a=1e200, name="w"), "a must be at most"),
        (lambda w: initlab.nn.init.kaiming_normal_(w, nonlinearity=w, name="w"), "nonlinearity must be a name"),
        (lambda w: initlab.nn.init.constant_(w, "1"), "constant_ failed: TypeError"),
        (lambda w: initlab.nn.init.dirac_(w), "dirac_ failed: ValueError"),
        (lambda w: initlab.nn.init.orthogonal_(w[0], name="w"), "at least 2 axes"),
        (lambda w: initlab.nn.init.sparse_(w, 1.5, name="w"), "sparsity"),
    ],
)
def test_bad_arguments_are_refused_with_nothing_written(call: Callable[[torch.Tensor], Any], message: str) -> None:
    w = torch.zeros(4, 3)
    with pytest.raises(InputError, match=message):
        call(w)
    assert not w.any()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_no_tensor_is_refused_by_every_function(function: str) -> None:
    with pytest.raises(InputError, match=r"tensor must be a torch.Tensor; got list"):
        getattr(initlab.nn.init, function)([[0.0]], *[0.5] * (function in ("constant_", "sparse_")))
