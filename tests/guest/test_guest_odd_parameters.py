"""Parameters that cannot be drawn or trained, are made as a model runs, and buffers that grow at the first batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import initlab

X = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))
Y = torch.arange(32) % 5


class Stored(nn.Module):
    """A weight held in few bits, and a head that is trained."""

    def __init__(self, dtype: torch.dtype, trains: bool = False) -> None:
        super().__init__()
        held = torch.randn(32, 16, generator=torch.Generator().manual_seed(1)).clamp(-3, 3)
        self.held = nn.Parameter(held.to(dtype), requires_grad=trains)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.relu(x @ self.held.to(x.dtype).T))
        return out


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
def test_what_is_frozen_and_cannot_be_drawn_is_kept_and_the_rest_drawn(dtype: torch.dtype) -> None:
    model = Stored(dtype)
    before = model.held.float()
    for policy in ("auto", "he_normal", {"*": "auto"}):
        plan = initlab.init_(model, policy, example_inputs=X)
        assert (plan["held"].action, plan["head.weight"].action) == ("keep", "write")
        assert "cannot be drawn" in plan["held"].reason
    assert torch.equal(model.held.float(), before)
    assert initlab.inspect(model, X, Y).verdict == "healthy"
    assert initlab.audit(model)["held"].dtype in str(dtype)
    with pytest.raises(initlab.InputError, match=r"'held': .* cannot be drawn"):
        initlab.init_(model, {"held": "he_normal"})


def test_a_float8_weight_that_trains_is_refused_in_a_line() -> None:
    model = Stored(torch.float8_e4m3fn, trains=True)
    with pytest.raises(initlab.InputError, match=r"'held' is float8_e4m3fn and requires a gradient, .*freeze it"):
        initlab.inspect(model, X, Y)
    with pytest.raises(initlab.InputError, match="'held': float8_e4m3fn cannot be drawn"):
        initlab.init_(model, "auto", example_inputs=X)


LAID = {
    "sparse_coo": lambda t: t.to_sparse(),
    "sparse_csr": lambda t: t.to_sparse_csr(),
    "mkldnn": lambda t: t.to_mkldnn(),
    "quantized": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
}


def _beside(held: Tensor, trains: bool = False) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5))
    model.register_parameter("held", nn.Parameter(held, requires_grad=trains))
    return model


@pytest.mark.filterwarnings("ignore")  # torch calls quantized and CSR tensors unfinished
@pytest.mark.parametrize("layout", LAID)
def test_what_is_frozen_and_not_strided_is_kept_and_the_rest_drawn_and_judged(layout: str) -> None:
    model = _beside(LAID[layout](torch.eye(8)))
    plan = initlab.init_(model, "auto", example_inputs=X)
    assert (plan["held"].action, plan["0.weight"].action) == ("keep", "write")
    assert initlab.inspect(model, X, Y).verdict == "healthy"
    assert "held" in str(initlab.audit(model))
    initlab.fit.lsuv_(model, X)
    with pytest.raises(initlab.InputError, match=r"'held': .* can be drawn|'held': qint8 cannot be drawn"):
        initlab.init_(model, {"held": "he_normal"})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", ["sparse_coo", "sparse_csr"])
def test_what_is_sparse_and_trains_is_refused_by_name(layout: str) -> None:
    model = _beside(LAID[layout](torch.eye(8)), trains=True)
    before = model[0].weight.clone()
    for verb in (
        lambda: initlab.inspect(model, X, Y),
        lambda: initlab.init_(model, example_inputs=X),
        lambda: initlab.fit.lsuv_(model, X),
    ):
        with pytest.raises(initlab.InputError, match=f"'held'.* is {layout}"):
            verb()
    assert torch.equal(model[0].weight, before)


@pytest.fixture
def group() -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")  # FSDP1 says that it is old
@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("how", ["gathered", "sharded", "flat", "flat with its own names"])
def test_what_fsdp_holds_is_not_read_nor_fitted(how: str) -> None:
    """Gathered parameters are freed as a pass runs: to read them then would end the process."""
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    model: nn.Module = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5))
    if how.startswith("flat"):
        kept = how != "flat"
        model = FullyShardedDataParallel(model, device_id=torch.device("cpu"), use_orig_params=kept)
        with pytest.raises(initlab.InputError, match="FSDP1 holds it in a flat parameter"):
            initlab.init_(model)
    else:
        fully_shard(model)
        if how == "gathered":
            model.unshard()  # type: ignore[operator]
    for verb in (lambda: initlab.inspect(model, X, Y), lambda: initlab.fit.lsuv_(model, X)):
        with pytest.raises(
            initlab.InputError, match=r"is sharded \((a DTensor|by FSDP1?)\), and whole weights are read"
        ):
            verb()


class Own(nn.Parameter):
    """A parameter that keeps its memory to itself."""

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        with torch._C._DisableTorchDispatch():
            return func(*args, **(kwargs or {}))


def test_a_tensor_of_ones_own_kind_is_refused_with_what_keeps_it() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    model[0]._parameters["weight"] = torch.Tensor._make_subclass(Own, torch.zeros(4, 4), True)  # type: ignore[assignment]
    with pytest.raises(initlab.InputError, match=r"pass keep='0\.weight' to leave it alone"):
        initlab.init_(model, "he_normal")


class SparseAnswer(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).to_sparse()


def test_a_sparse_answer_is_planned_and_judged_as_a_dense_one() -> None:
    dense, sparse = nn.Linear(16, 5), SparseAnswer(16, 5)
    sparse.load_state_dict(dense.state_dict())
    assert initlab.plan(sparse, X)["weight"].std == initlab.plan(dense, X)["weight"].std
    assert initlab.inspect(sparse, X, Y).loss == initlab.inspect(dense, X, Y).loss


@pytest.mark.filterwarnings("ignore")  # torch calls them unfinished
def test_a_nested_parameter_has_no_shape_whatever_is_asked() -> None:
    model = _beside(torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(4, 3)]))
    for verb in (lambda: initlab.plan(model, X), lambda: initlab.inspect(model, X, Y)):
        with pytest.raises(initlab.InputError, match="'held' is a nested tensor"):
            verb()


@pytest.mark.filterwarnings("ignore")  # and ComplexHalf too
@pytest.mark.parametrize("dtype", [torch.complex32, torch.complex64])
def test_complex_parameters_are_drawn_into_memory_of_numpys(dtype: torch.dtype) -> None:
    model, like = nn.Module(), nn.Module()
    memory = torch.zeros(64, dtype=torch.uint8)
    memory.numpy()  # torch may then not resize it: it is written as memory that is not torch's own
    model.weight = nn.Parameter(memory[: 4 * dtype.itemsize].view(dtype).view(2, 2))
    like.weight = nn.Parameter(torch.zeros(2, 2, dtype=dtype))
    for each in (model, like):
        initlab.init_(each, {"*": "normal"})
    assert torch.equal(torch.view_as_real(model.weight), torch.view_as_real(like.weight))
    assert model.weight.detach().to(torch.complex64).abs().min() > 0


def test_a_conjugated_parameter_is_kept_and_else_refused() -> None:
    model = _beside(torch.randn(3, 3, dtype=torch.complex64).conj())
    assert initlab.init_(model, "auto", example_inputs=X)["held"].action == "keep"
    with pytest.raises(initlab.InputError, match="'held' is conjugated"):
        initlab.init_(model, {"held": "normal"})


def test_parameters_that_share_cells_are_refused_by_every_writer() -> None:
    whole = torch.zeros(48, 16)
    shared = nn.Sequential(nn.Linear(16, 32), nn.Linear(16, 32))
    shared[0].weight, shared[1].weight = nn.Parameter(whole[:32]), nn.Parameter(whole[16:])
    with pytest.raises(initlab.InputError, match=r"'0.weight' and '1.weight' overlap in memory"):
        initlab.reinit_(shared)
    expanded = nn.Sequential(nn.Linear(16, 32))
    expanded[0].weight = nn.Parameter(torch.zeros(1, 16).expand(32, 16))
    for verb in (lambda: initlab.reinit_(expanded), lambda: initlab.fit.lsuv_(expanded, X, start=None)):
        with pytest.raises(initlab.InputError, match=r"'0.weight' is expanded or overlaps itself"):
            verb()
    assert not whole.any()


class Growing(nn.Module):
    """Makes its head at the first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(16, 32), None

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        if self.head is None:
            self.head = nn.Linear(x.shape[-1], 5)
        return self.head(x)


def test_a_model_that_makes_parameters_as_it_runs_is_to_run_first() -> None:
    model = Growing()
    for verb in (lambda: initlab.init_(model, example_inputs=X), lambda: initlab.inspect(model, X, Y)):
        with pytest.raises(initlab.InputError, match=r"makes 'head' as it runs.*run one batch through the model first"):
            verb()
        assert model.head is None
    model(X)
    assert initlab.init_(model, example_inputs=X)["head.weight"].action == "write"


def test_observers_of_a_quantisation_are_put_back_as_small_as_they_were() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao import quantization

        model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5)).train()
        model.qconfig = quantization.get_default_qat_qconfig("fbgemm")  # type: ignore[assignment]
        quantization.prepare_qat(model, inplace=True)
    shapes = {name: buffer.shape for name, buffer in model.named_buffers()}
    initlab.init_(model, "auto", example_inputs=X)
    assert initlab.inspect(model, X, Y).verdict == "healthy"
    assert {name: buffer.shape for name, buffer in model.named_buffers()} == shapes


def test_a_layer_whose_own_start_fails_is_named() -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.Linear(32, 5))
    del model[1].weight
    with pytest.raises(initlab.InputError, match=r"the start of '1' by itself failed: AttributeError"):
        initlab.reinit_(model)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_frozen_torchscript_is_refused_in_a_line() -> None:
    frozen = torch.jit.freeze(torch.jit.script(nn.Linear(16, 5).eval()))
    with pytest.raises(initlab.InputError, match=r"frozen TorchScript.*give the module that it was made of"):
        initlab.inspect(frozen, X, Y)


def test_a_module_that_holds_itself_is_refused_by_fits_too() -> None:
    model = nn.Sequential(nn.Linear(16, 5))
    model[0].__dict__["_modules"]["up"] = model
    with pytest.raises(initlab.InputError, match="the model is cyclic"):
        initlab.fit.lsuv_(model, X)
