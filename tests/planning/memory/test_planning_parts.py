"""Parts of a model: rows of a grown vocabulary, stages of a pipeline, and the two parts of complex numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.planning.memory.complex_laws import law_of_parts
from initlab.sampling import laws, sample


def _grown() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict({"embed": nn.Embedding(13, 6), "head": nn.Linear(6, 13), "inner": nn.Linear(6, 6)})


@pytest.mark.parametrize("scheme", ["normal", "xavier_uniform", "truncated_normal", "orthogonal", "sparse"])
def test_rows_alone_are_written_with_the_values_of_the_whole(scheme: str) -> None:
    net, whole = _grown(), _grown()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    policy = {"embed": scheme, "head": scheme}
    initlab.init_(net, policy, seed=3, rows=slice(10, None))
    initlab.init_(whole, policy, seed=3)
    for name in ("embed.weight", "head.weight"):
        mine, all_of_it = net.get_parameter(name), whole.get_parameter(name)
        assert torch.equal(mine[:10], before[name][:10])
        torch.testing.assert_close(mine[10:], all_of_it[10:], rtol=1e-6, atol=1e-7)
        assert not torch.equal(mine[10:], before[name][10:])
    assert torch.equal(net["inner"].weight, before["inner.weight"])
    assert torch.equal(net["head"].bias, before["head.bias"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (slice(13, None), "'embed.weight' has 13 rows, none of which is in"),
        (slice(0, 4, 2), "rows must be a slice with step 1"),
        (3, "rows must be a slice"),
        (slice("a", None), "whole numbers"),
    ],
)
def test_rows_that_cannot_be_meant_are_refused(rows: Any, message: str) -> None:
    net = _grown()
    before = net["embed"].weight.detach().clone()
    with pytest.raises(InputError, match=message):
        initlab.init_(net, {"embed": "normal"}, rows=rows)
    assert torch.equal(net["embed"].weight, before)


def test_a_stage_is_written_as_the_whole_model_would_be() -> None:
    whole = nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(4, 4) for _ in range(3))})
    stage = nn.Linear(4, 4)
    initlab.init_(whole, "he_normal", seed=2)
    initlab.init_(stage, "he_normal", seed=2, prefix="layers.1")
    assert torch.equal(stage.weight, whole["layers"][1].weight)
    with pytest.raises(InputError, match="prefix must be a string"):
        initlab.init_(stage, prefix=3)  # type: ignore[arg-type]


COMPLEX = {torch.complex64: 0.05, torch.complex128: 0.05}


class Spectral(nn.Module):
    """A spectral convolution of a neural operator beside real layers."""

    def __init__(self, dtype: torch.dtype = torch.complex64) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(60, 50, dtype=dtype))
        self.fc = nn.Linear(60, 50)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(x, n=118) @ self.w
        out: torch.Tensor = self.fc(torch.fft.irfft(spectrum, n=60))
        return out


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("scheme", ["he_normal", "xavier_uniform", "truncated_normal", "orthogonal", "normal"])
def test_p14_a_complex_parameter_has_the_laws_second_moment(dtype: torch.dtype, scheme: str) -> None:
    net = Spectral(dtype)
    plan = initlab.init_(net, {"w": scheme, "fc": scheme}, seed=1)
    values, std = net.w.detach(), plan["w"].std
    assert float(values.abs().square().mean()) == pytest.approx(std**2, rel=COMPLEX[dtype])
    assert abs(complex(values.mean())) < 4 * std / math.sqrt(values.numel())
    phases = values.angle().flatten()
    assert abs(float(torch.cos(phases).mean())) < 0.06
    assert abs(float(torch.sin(phases).mean())) < 0.06
    real = float(values.real.square().mean()) / float(values.imag.square().mean())
    assert real == pytest.approx(1, abs=0.1)
    assert plan["fc.weight"].action == "write"


def test_p14_the_same_bits_and_the_rest_of_the_model_as_without() -> None:
    one, other, real = Spectral(), Spectral(), nn.ModuleDict({"fc": nn.Linear(60, 50)})
    initlab.init_(one, {"w": "normal", "fc": "auto"}, seed=1)
    torch.rand(5)
    initlab.init_(other, {"fc": "auto", "w": "normal"}, seed=1)
    initlab.init_(real, {"fc": "auto"}, seed=1)
    assert torch.equal(one.w, other.w)
    assert torch.equal(one.fc.weight, real["fc"].weight)
    pairs = torch.from_numpy(sample(laws.Normal(0.0, 0.01 / math.sqrt(2)), (60, 50, 2), seed=1, name="w"))
    assert torch.equal(torch.view_as_real(one.w.detach()), pairs)


@pytest.mark.parametrize("recorded", [False, True])
def test_p14_a_model_with_complex_parameters_is_never_refused(recorded: bool) -> None:
    net = Spectral()
    nn.init.normal_(net.w.data)
    plan = initlab.init_(net, seed=1, example_inputs=torch.randn(8, 60) if recorded else None)
    assert plan.counts["refuse"] == 0
    assert plan["fc.weight"].action == "write"


def _complex(law: laws.Law, shape: tuple[int, ...], seed: int = 4) -> np.ndarray[Any, Any]:
    return sample(law_of_parts(law, shape), (*shape, 2), seed=seed, dtype="float64").view(np.complex128)[..., 0]


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (7, 5), (6, 4, 3)])
@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
def test_orthogonal_complex_weights_are_unitary(shape: tuple[int, ...], axes: tuple[int, int]) -> None:
    values = np.moveaxis(_complex(laws.Orthogonal(2.0, *axes), shape), axes[0], 0).reshape(shape[axes[0]], -1)
    rows = values if values.shape[0] <= values.shape[1] else values.T
    assert np.allclose(rows @ rows.conj().T, 4 * np.eye(len(rows)))
    centre = _complex(laws.DeltaOrthogonal(1.0, *axes), shape)[(slice(None), slice(None), *[n // 2 for n in shape[2:]])]
    rows = centre if centre.shape[0] <= centre.shape[1] else centre.T
    assert np.allclose(rows @ rows.conj().T, np.eye(len(rows)))


def test_unitary_weights_are_haar_distributed() -> None:
    """E|tr U|² = 1, E|tr U²|² = 2, E|u|⁴ = 2/(n(n + 1)), E u² = 0 (Diaconis & Shahshahani 1994), to five errors."""
    drawn = np.stack([_complex(laws.Orthogonal(), (3, 3), seed) for seed in range(2000)])
    trace, square = (np.trace(each, axis1=1, axis2=2) for each in (drawn, drawn @ drawn))
    assert (np.abs(trace) ** 2).mean() == pytest.approx(1.0, abs=0.12)
    assert (np.abs(square) ** 2).mean() == pytest.approx(2.0, abs=0.24)
    assert (np.abs(drawn) ** 4).mean(0) == pytest.approx(np.full((3, 3), 1 / 6), abs=0.025)
    assert abs((drawn**2).mean(0)).max() < 0.05


def test_complex_matrix_laws_keep_their_structure() -> None:
    both = _complex(laws.Mirrored(1.0), (6, 8))
    assert np.array_equal(both, np.block([[both[:3, :4], -both[:3, :4]], [-both[:3, :4], both[:3, :4]]]))
    sparse = _complex(laws.Sparse(0.5, 0.9), (40, 60))
    assert ((sparse == 0).sum(0) == 36).all()
    left = sparse[sparse != 0]
    assert (np.abs(left) ** 2).mean() == pytest.approx(0.25, rel=0.25)
    assert abs((left**2).mean()) < 0.08
    assert np.array_equal(_complex(laws.Identity(2.0), (5, 4, 3)), sample(laws.Identity(2.0), (5, 4, 3)))


@pytest.mark.parametrize(
    ("law", "mean", "second"),
    [
        (laws.Constant(0.5), 0.5, 0.25),
        (laws.Normal(0.5, 0.2), 0.5, 0.29),
        (laws.Uniform(0.0, 1.0), 0.5, 1 / 3),
        (laws.TruncatedNormal.from_sigmas(0.3, mean=1.0), 1.0, 1.09),
        (laws.Identity(1.0), 1 / 60, 1 / 60),
        (laws.Stacked(0, (20, 40), (laws.Constant(0.0), laws.Normal(0.0, 1.0))), 0.0, 2 / 3),
    ],
)
def test_the_parts_together_have_the_laws_moments(law: laws.Law, mean: float, second: float | None) -> None:
    values = sample(law_of_parts(law, (60, 60)), (60, 60, 2), seed=4).astype("float64")
    assert values[..., 0].mean() == pytest.approx(mean, abs=0.05)
    assert values[..., 1].mean() == pytest.approx(0.0, abs=0.05)
    if second is not None:
        assert (values**2).sum(-1).mean() == pytest.approx(second, rel=0.08)
