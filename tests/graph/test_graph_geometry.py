"""Fans against brute force: the non-zeros of the layer's Jacobian, with torch.nn.init's number beside ours."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from initlab.errors import InputError
from initlab.graph import geometry_of, record


def jacobian(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """d out / d in as a matrix (outputs, inputs), at a point where no entry vanishes by chance."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(0.5, 1.5)
    full = torch.autograd.functional.jacobian(layer, x, vectorize=True)
    out = full.shape[: full.dim() - x.dim()]
    return full.reshape(out.numel(), x.numel())


def interior(counts: torch.Tensor, shape: torch.Size, margin: int, period: int) -> float:
    """The mean count over units away from the border, over whole stride periods."""
    counts = counts.reshape(shape[1:])  # (channels, *space)
    for axis in range(1, counts.dim()):
        usable = (counts.shape[axis] - 2 * margin) // period * period
        counts = counts.narrow(axis, margin, usable)
    return float(counts.double().mean())


def torch_fans(weight: torch.Tensor) -> tuple[float, float]:
    return nn.init._calculate_fan_in_and_fan_out(weight)


# layer, input shape, margin and period of the output's and of the input's interior, torch's (fan_in, fan_out) as it is:
# transposed layers have both swapped and the stride left out, grouped layers a fan_out that counts all groups.
CONVOLUTIONS = [
    (nn.Conv1d(3, 5, 3), (1, 3, 16), 0, 1, 4, 1, (9, 15)),
    (nn.Conv2d(3, 4, 3, padding=1), (1, 3, 9, 9), 1, 1, 2, 1, (27, 36)),
    (nn.Conv2d(2, 4, 3, stride=2), (1, 2, 15, 15), 0, 1, 3, 2, (18, 36)),
    (nn.Conv2d(2, 4, 3, dilation=2), (1, 2, 13, 13), 0, 1, 4, 1, (18, 36)),
    (nn.Conv2d(4, 6, 3, groups=2), (1, 4, 9, 9), 0, 1, 2, 1, (18, 54)),
    (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 9, 9), 0, 1, 2, 1, (9, 36)),
    (nn.Conv2d(4, 8, 3, groups=4, padding=1), (1, 4, 9, 9), 1, 1, 2, 1, (9, 72)),
    (nn.Conv2d(3, 4, (3, 1)), (1, 3, 9, 5), 0, 1, 2, 1, (9, 12)),
    (nn.Conv2d(3, 4, 4, stride=4), (1, 3, 16, 16), 0, 1, 0, 4, (48, 64)),
    (nn.Conv3d(2, 3, 2), (1, 2, 5, 5, 5), 0, 1, 1, 1, (16, 24)),
    (nn.ConvTranspose1d(4, 3, 4, stride=2), (1, 4, 12), 4, 2, 0, 1, (12, 16)),
    (nn.ConvTranspose2d(4, 3, 3), (1, 4, 7, 7), 2, 1, 0, 1, (27, 36)),
    (nn.ConvTranspose2d(4, 3, 3, stride=2), (1, 4, 8, 8), 3, 2, 0, 1, (27, 36)),
    (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), (1, 4, 4, 4), 0, 2, 0, 1, (12, 16)),
    (nn.ConvTranspose3d(2, 3, 2, stride=2), (1, 2, 3, 3, 3), 0, 2, 0, 1, (24, 16)),
]


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda case: str(case[0]))
def test_convolution_fans_are_the_jacobians_non_zeros(case: tuple) -> None:
    layer, shape, out_margin, out_period, in_margin, in_period, torchs = case
    x = torch.zeros(shape)
    matrix = jacobian(layer, x) != 0
    geometry = geometry_of(layer)["weight"].geometry
    assert geometry.fan_in == interior(matrix.sum(1), layer(x).shape, out_margin, out_period)
    assert geometry.fan_out == interior(matrix.sum(0), x.shape, in_margin, in_period)
    assert torch_fans(layer.weight) == torchs
    by_use = geometry_of(layer, record(layer, x))["weight"]
    assert (by_use.geometry, by_use.source) == (geometry, "use")


def test_torch_is_wrong_where_the_layer_is_not_plain() -> None:
    wrong = [str(layer) for layer, *_, torchs in CONVOLUTIONS if torchs != _ours(layer)]
    right = [str(layer) for layer, *_, torchs in CONVOLUTIONS if torchs == _ours(layer)]
    assert any("ConvTranspose2d(4, 3, kernel_size=(3, 3), stride=(1, 1))" in name for name in wrong)
    assert any("groups=4" in name for name in wrong)
    assert "Conv1d(3, 5, kernel_size=(3,), stride=(1,))" in right


def _ours(layer: nn.Module) -> tuple[float, float]:
    geometry = geometry_of(layer)["weight"].geometry
    return geometry.fan_in, geometry.fan_out


def test_linear_fans_are_the_jacobians_non_zeros() -> None:
    layer = nn.Linear(5, 3)
    matrix = jacobian(layer, torch.zeros(1, 5)) != 0
    assert _ours(layer) == (matrix.sum(1).double().mean(), matrix.sum(0).double().mean()) == (5, 3)


def test_bilinear_sums_over_every_pair() -> None:
    layer, left, right = nn.Bilinear(3, 4, 5), torch.ones(1, 3), torch.ones(1, 4)
    read = torch.autograd.functional.jacobian(lambda w: nn.functional.bilinear(left, right, w), layer.weight.detach())
    assert _ours(layer) == ((read[0] != 0).flatten(1).sum(1).double().mean(), 5) == (12, 5)
    assert torch_fans(layer.weight) == (12, 20)


@pytest.mark.parametrize("layer", [nn.Embedding(7, 4), nn.EmbeddingBag(7, 4)], ids=["Embedding", "EmbeddingBag"])
def test_embedding_reads_one_row_for_each_output(layer: nn.Module) -> None:
    ids = torch.tensor([[2]])
    functional = nn.functional.embedding if isinstance(layer, nn.Embedding) else nn.functional.embedding_bag
    read = torch.autograd.functional.jacobian(lambda w: functional(ids, w), layer.weight.detach()).reshape(4, -1) != 0
    for info in (geometry_of(layer)["weight"], geometry_of(layer, record(layer, ids))["weight"]):
        assert info.role == "embedding"
        assert (info.geometry.fan_in, info.geometry.fan_out) == (read.sum(1).double().mean(), read.sum()) == (1, 4)
    assert torch_fans(layer.weight) == (4, 7)


# module, parameter, (fan_in, fan_out) of one block, sizes, labels, torch's pair for the whole packed tensor
GATES = ("input", "forget", "cell", "output")
PACKED = [
    (nn.LSTM(3, 5), "weight_ih_l0", (3, 5), (5,) * 4, GATES, (3, 20)),
    (nn.LSTM(3, 5), "weight_hh_l0", (5, 5), (5,) * 4, GATES, (5, 20)),
    (nn.LSTM(3, 5, num_layers=2, bidirectional=True), "weight_ih_l1_reverse", (10, 5), (5,) * 4, GATES, (10, 20)),
    (nn.LSTM(3, 5, proj_size=2), "weight_hh_l0", (2, 5), (5,) * 4, GATES, (2, 20)),
    (nn.LSTM(3, 5, proj_size=2), "weight_hr_l0", (5, 2), None, None, (5, 2)),
    (nn.GRU(3, 5), "weight_ih_l0", (3, 5), (5,) * 3, ("reset", "update", "new"), (3, 15)),
    (nn.RNN(3, 5), "weight_ih_l0", (3, 5), None, None, (3, 5)),
    (nn.LSTMCell(3, 5), "weight_hh", (5, 5), (5,) * 4, GATES, (5, 20)),
    (nn.GRUCell(3, 5), "weight_ih", (3, 5), (5,) * 3, ("reset", "update", "new"), (3, 15)),
    (nn.RNNCell(3, 5), "weight_ih", (3, 5), None, None, (3, 5)),
    (nn.MultiheadAttention(6, 2), "in_proj_weight", (6, 6), (6,) * 3, ("query", "key", "value"), (6, 18)),
    (nn.MultiheadAttention(6, 2, kdim=3, vdim=4), "k_proj_weight", (3, 6), None, None, (3, 6)),
    (nn.MultiheadAttention(6, 2, kdim=3, vdim=4), "v_proj_weight", (4, 6), None, None, (4, 6)),
    (nn.MultiheadAttention(6, 2), "out_proj.weight", (6, 6), None, None, (6, 6)),
]


@pytest.mark.parametrize("case", PACKED, ids=lambda case: f"{type(case[0]).__name__}.{case[1]}")
def test_packed_layers_have_the_fans_of_one_block(case: tuple) -> None:
    module, name, fans, sizes, labels, torchs = case
    geometry = geometry_of(module)[name].geometry
    assert (geometry.fan_in, geometry.fan_out) == fans
    assert (geometry.packing and geometry.packing.sizes) == sizes
    assert (geometry.packing and geometry.packing.labels) == labels
    assert torch_fans(dict(module.named_parameters())[name]) == torchs


def test_lstm_block_fans_are_the_jacobians_non_zeros() -> None:
    """Through the four gates of a cell, one input reaches hidden_size units of each gate."""
    cell = nn.LSTMCell(3, 5)
    gates = jacobian(nn.Linear(3, 20, bias=False), torch.zeros(1, 3)).reshape(4, 5, 3) != 0
    geometry = geometry_of(cell)["weight_ih"].geometry
    assert (geometry.fan_in, geometry.fan_out) == (gates[1].sum(1)[0], gates[1].sum(0)[0])


ROLES = [
    (nn.Linear(2, 3), {"weight": "weight", "bias": "bias"}),
    (nn.BatchNorm2d(4), {"weight": "norm_weight", "bias": "norm_bias"}),
    (nn.LayerNorm(4), {"weight": "norm_weight", "bias": "norm_bias"}),
    (nn.GroupNorm(2, 4), {"weight": "norm_weight", "bias": "norm_bias"}),
    (nn.InstanceNorm2d(4, affine=True), {"weight": "norm_weight", "bias": "norm_bias"}),
    (nn.RMSNorm(4), {"weight": "norm_weight"}),
    (nn.PReLU(4), {"weight": "other"}),
    (nn.RNN(2, 3, bias=False), {"weight_ih_l0": "weight", "weight_hh_l0": "weight"}),
    (nn.GRUCell(2, 3),
     {"weight_ih": "weight", "weight_hh": "weight", "bias_ih": "recurrent_bias", "bias_hh": "recurrent_bias"}),
    (nn.MultiheadAttention(4, 2, add_bias_kv=True),
     {"in_proj_weight": "weight", "in_proj_bias": "bias", "bias_k": "other", "bias_v": "other",
      "out_proj.weight": "weight", "out_proj.bias": "bias"}),
]  # fmt: skip


@pytest.mark.parametrize(("module", "roles"), ROLES, ids=lambda item: type(item).__name__)
def test_roles_by_layer_type(module: nn.Module, roles: dict[str, str]) -> None:
    assert {name: info.role for name, info in geometry_of(module).items()} == roles


class Use(nn.Module):
    """A raw parameter and a function that uses it."""

    def __init__(self, shape: tuple[int, ...], function: object) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.rand(shape) + 0.5)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, self.p)


F = nn.functional
# shape of the parameter, shape of the input, its use, role, fans, (out_axis, in_axis)
RAW = {
    "x @ W": ((5, 3), (2, 5), lambda x, p: x @ p, "weight", (5, 3), (1, 0)),
    "W @ x": ((3, 5), (5, 2), lambda x, p: p @ x, "weight", (5, 3), (0, 1)),
    "F.linear": ((3, 5), (2, 5), F.linear, "weight", (5, 3), (0, 1)),
    "x @ W.T": ((3, 5), (2, 5), lambda x, p: x @ p.T, "weight", (5, 3), (0, 1)),
    "addmm": ((5, 3), (2, 5), lambda x, p: torch.addmm(torch.zeros(3), x, p), "weight", (5, 3), (1, 0)),
    "mv": ((3, 5), (5,), lambda x, p: p.mv(x), "weight", (5, 3), (0, 1)),
    "einsum": ((5, 3), (2, 5), lambda x, p: torch.einsum("bi,io->bo", x, p), "weight", (5, 3), (1, 0)),
    "einsum, out first": ((3, 5), (2, 4, 5),
        lambda x, p: torch.einsum("...i,oi->...o", x, p), "weight", (5, 3), (0, 1)),
    "einsum over heads": ((5, 2, 4), (3, 7, 5),
        lambda x, p: torch.einsum("btd,dhk->bhtk", x, p), "weight", (5, 8), (2, 0)),
    "einsum out of heads": ((2, 4, 5), (3, 2, 7, 4),
        lambda x, p: torch.einsum("bhtk,hkd->btd", x, p), "weight", (8, 5), (2, 1)),
    "experts, bmm": ((3, 5, 4), (3, 2, 5), torch.bmm, "weight", (5, 4), (2, 1)),
    "experts, einsum": ((3, 5, 4), (3, 2, 5),
        lambda x, p: torch.einsum("ebi,eio->ebo", x, p), "weight", (5, 4), (2, 1)),
    "tensordot": ((5, 3), (2, 5), lambda x, p: torch.tensordot(x, p, dims=1), "weight", (5, 3), (1, 0)),
    "scaled": ((5, 3), (2, 5), lambda x, p: x @ (p * 0.1), "weight", (5, 3), (1, 0)),
    "standardised": ((3, 5), (2, 5),
        lambda x, p: F.linear(x, (p - p.mean(1, keepdim=True)) / p.std()), "weight", (5, 3), (0, 1)),
    "reshaped": ((15,), (2, 5), lambda x, p: F.linear(x, p.view(3, 5)), "weight", (5, 3), None),
    "conv2d": ((4, 3, 3, 3), (1, 3, 8, 8), F.conv2d, "weight", (27, 36), (0, 1)),
    "conv2d, stride": ((4, 3, 3, 3), (1, 3, 8, 8), lambda x, p: F.conv2d(x, p, stride=2), "weight", (27, 9), (0, 1)),
    "conv_transpose2d": ((3, 4, 2, 2), (1, 3, 4, 4),
        lambda x, p: F.conv_transpose2d(x, p, stride=2), "weight", (3, 16), (1, 0)),
    "F.embedding": ((9, 4), (2, 3), lambda x, p: F.embedding(x.long(), p), "embedding", (1, 4), (1, 0)),
    "row lookup": ((9, 4), (2, 3), lambda x, p: p[x.long()], "embedding", (1, 4), (1, 0)),
    "positions": ((1, 7, 4), (2, 7, 4), torch.add, "other", None, None),
    "layer scale": ((4,), (2, 7, 4), torch.mul, "other", (1, 1), None),
    "norm scale": ((4,), (2, 7, 4), lambda x, p: F.layer_norm(x, (4,)) * p, "norm_weight", (1, 1), None),
    "norm shift": ((4,), (2, 7, 4), lambda x, p: F.layer_norm(x, (4,)) + p, "norm_bias", (1, 1), None),
    "F.layer_norm": ((4,), (2, 7, 4), lambda x, p: F.layer_norm(x, (4,), p), "norm_weight", (1, 1), None),
}  # fmt: skip


@pytest.mark.parametrize("case", RAW)
def test_raw_parameters_are_read_by_their_use(case: str) -> None:
    shape, input_shape, function, role, fans, axes = RAW[case]
    model, x = Use(shape, function), torch.rand(input_shape)
    info = geometry_of(model, record(model, x))["p"]
    assert (info.role, info.source) == (role, "use")
    geometry = info.geometry
    assert (geometry and (geometry.fan_in, geometry.fan_out)) == fans
    if axes is not None:
        assert (geometry.out_axis, geometry.in_axis) == axes


LINEAR_USES = [
    name for name, row in RAW.items() if row[3] == "weight" and name not in ("standardised",) and "conv" not in name
]


@pytest.mark.parametrize("case", LINEAR_USES)
def test_fans_by_use_are_the_jacobians_non_zeros(case: str) -> None:
    shape, input_shape, function, _, fans, _ = RAW[case]
    model, x = Use(shape, function), torch.zeros(input_shape)
    full = torch.autograd.functional.jacobian(model, x, vectorize=True)
    matrix = full.reshape(-1, x.numel()) != 0
    assert fans == (matrix.sum(1).double().mean(), matrix.sum(0).double().mean())


def test_norm_look_alike_is_a_norm() -> None:
    class LikeLlama(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            wide = x.to(torch.float32)
            wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
            return self.weight * wide.to(x.dtype)

    model = nn.Sequential(nn.Linear(4, 8), LikeLlama())
    assert geometry_of(model, record(model, torch.zeros(2, 4)))["1.weight"].role == "norm_weight"


class Split(nn.Module):
    def __init__(self, features: int, cut: object) -> None:
        super().__init__()
        self.qkv = nn.Linear(6, features)
        self.cut = cut

    def forward(self, x: torch.Tensor) -> object:
        return tuple(self.cut(self.qkv(x)))


def heads(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    batch, tokens, _ = x.shape
    q, k, v = x.reshape(batch, tokens, 3, 2, 3).permute(2, 0, 3, 1, 4)
    return q, k, v


SPLITS = {
    "chunk": (18, lambda x: x.chunk(3, dim=-1), (6, 6, 6)),
    "split": (18, lambda x: x.split(6, -1), (6, 6, 6)),
    "unequal split": (12, lambda x: x.split([6, 3, 3], -1), (6, 3, 3)),
    "halves of a GLU": (8, lambda x: x.chunk(2, -1), (4, 4)),
    "slices": (12, lambda x: (x[..., :6], x[..., 6:]), (6, 6)),
    "reshape, permute, unpack": (18, heads, (6, 6, 6)),
    "reshape, permute, unbind": (18, lambda x: x.view(2, 5, 3, 6).permute(2, 0, 1, 3).unbind(0), (6, 6, 6)),
    "reshape, index": (18, lambda x: [x.view(2, 5, 3, 6)[:, :, i] for i in range(3)], (6, 6, 6)),
    "one slice of many": (12, lambda x: (x[..., :2],), None),
    "heads only": (12, lambda x: (x.view(2, 5, 3, 4).transpose(1, 2),), None),
    "overlapping slices": (12, lambda x: (x[..., :8], x[..., 6:]), None),
}


@pytest.mark.parametrize("case", SPLITS)
def test_a_projection_that_is_cut_is_packed(case: str) -> None:
    features, cut, sizes = SPLITS[case]
    model = Split(features, cut)
    geometry = geometry_of(model, record(model, torch.zeros(2, 5, 6)))["qkv.weight"].geometry
    assert (geometry.packing and geometry.packing.sizes) == sizes
    alike = sizes is not None and len(set(sizes)) == 1
    assert geometry.fan_out == (sizes[0] if alike else features)
    if sizes is not None and not alike:
        assert [fans.fan_out for fans in geometry.packing.fans] == list(sizes)


def test_a_weight_used_in_pieces_is_packed() -> None:
    model = Use((18, 6), lambda x, p: torch.cat([F.linear(x, w) for w in p.chunk(3)], -1))
    geometry = geometry_of(model, record(model, torch.zeros(2, 6)))["p"].geometry
    assert (geometry.fan_in, geometry.fan_out, geometry.packing.sizes) == (6, 6, (6, 6, 6))


def test_a_stack_of_weights_gives_each_its_fans() -> None:
    class Ensemble(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.members = nn.ParameterList(nn.Parameter(torch.rand(4, 5)) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.einsum("bi,eio->ebo", x, torch.stack(list(self.members)))

    model = Ensemble()
    for info in geometry_of(model, record(model, torch.zeros(2, 4))).values():
        assert (info.role, info.geometry.fan_in, info.geometry.fan_out) == ("weight", 4, 5)


def test_an_lstm_out_of_raw_parameters() -> None:
    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.u = nn.Parameter(torch.rand(8, 24)), nn.Parameter(torch.rand(6, 24))
            self.b = nn.Parameter(torch.zeros(24))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h, c = x.new_zeros(len(x), 6), x.new_zeros(len(x), 6)
            for step in x.unbind(1):
                i, f, g, o = (step @ self.w + h @ self.u + self.b).chunk(4, 1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            return h

    model = ByHand()
    infos = geometry_of(model, record(model, torch.zeros(2, 4, 8)))
    assert {name: info.role for name, info in infos.items()} == {"w": "weight", "u": "weight", "b": "bias"}
    assert [infos[name].geometry.fan_in for name in "wu"] == [8, 6]


def test_transformers_conv1d_by_type_and_by_use() -> None:
    conv1d = pytest.importorskip("transformers.pytorch_utils").Conv1D
    layer = nn.Sequential(conv1d(12, 5))
    for graph in (None, record(layer, torch.zeros(2, 5))):
        geometry = geometry_of(layer, graph)["0.weight"].geometry
        assert (geometry.fan_in, geometry.fan_out, geometry.out_axis, geometry.kind) == (
            5,
            12,
            1,
            "transformers_conv1d",
        )
    assert torch_fans(layer[0].weight) == (12, 5)


def test_parametrized_weights_keep_the_layers_fans() -> None:
    weighted = parametrizations.weight_norm(nn.Linear(5, 3))
    spectral = parametrizations.spectral_norm(nn.Conv2d(2, 4, 3))
    for graph in (None, record(weighted, torch.zeros(2, 5))):
        infos = geometry_of(weighted, graph)
        direction = infos["parametrizations.weight.original1"]
        assert (direction.role, direction.geometry.fan_in, direction.geometry.fan_out) == ("weight", 5, 3)
        assert infos["parametrizations.weight.original0"].role == "other"
    for graph in (None, record(spectral, torch.zeros(1, 2, 5, 5))):
        info = geometry_of(spectral, graph)["parametrizations.weight.original"]
        assert (info.role, info.geometry.fan_in, info.geometry.fan_out) == ("weight", 18, 36)


# torch's older wrappers, and the parameters that hold the direction and the length in place of the weight.
OLDER = {"weight_norm": ("weight_v", "weight_g"), "spectral_norm": ("weight_orig", None)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrapper", OLDER)
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.ConvTranspose1d(8, 4, 6, stride=2), (1, 8, 5)),
        (lambda: nn.Conv2d(8, 6, 3, stride=2, groups=2), (1, 8, 7, 7)),
        (lambda: nn.Linear(5, 3), (1, 5)),
    ],
)
def test_older_wrappers_keep_the_layers_fans(wrapper: str, make: object, shape: tuple[int, ...]) -> None:
    plain = geometry_of(make())["weight"]
    layer, (name, length) = getattr(nn.utils, wrapper)(make()), OLDER[wrapper]
    for graph in (None, record(layer, torch.zeros(shape))):
        infos = geometry_of(layer, graph)
        assert (infos[name].role, infos[name].geometry) == ("weight", plain.geometry)
        assert length is None or infos[length].role == "other"


def test_tied_parameters_come_once_with_every_name() -> None:
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7, bias=False))
    model[1].weight = model[0].weight
    for graph in (None, record(model, torch.tensor([[1, 2]]))):
        infos = geometry_of(model, graph)
        assert list(infos) == ["0.weight"]
        assert (infos["0.weight"].role, infos["0.weight"].tied_to) == ("embedding", ("1.weight",))


def test_every_parameter_is_listed_in_order() -> None:
    model = nn.Transformer(8, 2, 1, 1, 16)
    assert list(geometry_of(model)) == [name for name, _ in model.named_parameters()]


@pytest.mark.parametrize(
    ("model", "message"),
    [("model", "model must be a torch.nn.Module; got str"), (nn.LazyLinear(3), "'weight' is lazy")],
    ids=["no module", "lazy"],
)
def test_refused(model: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        geometry_of(model)
    with pytest.raises(InputError, match=message):
        record(model, torch.zeros(1))
