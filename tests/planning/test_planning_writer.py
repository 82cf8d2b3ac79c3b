"""Writing: what can be written in place, what is refused before the first write, and how the bits arrive."""

from __future__ import annotations

import copy
import itertools
import mmap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError, InterruptedInitError
from initlab.planning.memory import drawing, tensors
from initlab.planning.memory.drawing import Job, batches, stage
from initlab.planning.memory.shards import Part, part_of
from initlab.sampling import laws


def snapshot(model: nn.Module) -> dict[str, bytes]:
    return {
        n: p.detach().contiguous().view(torch.uint8).numpy().tobytes() for n, p in model.named_parameters() if p.numel()
    }


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))


def test_init_returns_the_plan_it_wrote() -> None:
    model = net()
    plan = initlab.init_(model, "he_normal", seed=1)
    assert isinstance(plan, initlab.Plan)
    assert plan.counts == {"write": 4, "keep": 0, "refuse": 0}
    assert model[0].bias.abs().max() == 0
    assert model[0].weight.std() > 0


def test_a_plan_serves_another_model_of_the_same_names_and_shapes() -> None:
    one, other = net(), net()
    plan = initlab.plan(one, policy="xavier_uniform")
    assert initlab.init_(one, plan, seed=2) == initlab.init_(other, plan, seed=2) == plan
    assert snapshot(one) == snapshot(other)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (nn.Sequential(nn.Linear(6, 5)), r"planned but not in the model: 2\.weight, 2\.bias"),
        (nn.Sequential(*net(), nn.Linear(4, 4)), r"in the model but not planned: 3\.weight"),
        (
            nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)),
            r"other shapes: 2\.weight \(3, 5\) where .*\(4, 5\)",
        ),
    ],
)
def test_a_plan_for_another_model_is_refused(other: nn.Module, message: str) -> None:
    plan = initlab.plan(net())
    before = snapshot(other)
    with pytest.raises(InputError, match=message):
        initlab.init_(other, plan)
    assert snapshot(other) == before


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "7", True, None])
def test_bad_seeds(seed: object) -> None:
    model = net()
    before = snapshot(model)
    with pytest.raises(InputError, match="seed must be an integer"):
        initlab.init_(model, seed=seed)
    assert snapshot(model) == before


@pytest.mark.parametrize("seed", [0, 2**64 - 1, np.int64(7)])
def test_good_seeds(seed: int) -> None:
    model = net()
    initlab.init_(model, "he_normal", seed=seed)
    own = initlab.get_scheme("he_normal").sample((5, 6), seed=int(seed), name="0.weight")
    assert torch.equal(model[0].weight.detach(), torch.from_numpy(own))


def single(weight: torch.Tensor, *, grad: bool = False) -> nn.Module:
    module = nn.Module()
    module.weight = nn.Parameter(weight, requires_grad=grad)
    return module


UNWRITABLE = [
    ("int", lambda: single(torch.zeros(4, 4, dtype=torch.int32)), "'weight': int32 cannot be drawn"),
    ("bool", lambda: single(torch.zeros(4, 4, dtype=torch.bool)), "'weight': bool cannot be drawn"),
    ("float8", lambda: single(torch.zeros(4, 4).to(torch.float8_e4m3fn)), "'weight': float8_e4m3fn cannot be drawn"),
    ("expanded", lambda: single(torch.zeros(4, 1).expand(4, 4)), "'weight' is expanded or overlaps itself"),
    (
        "as_strided",
        lambda: single(torch.zeros(16).as_strided((4, 4), (1, 2))),
        "'weight' is expanded or overlaps itself",
    ),
    ("meta", lambda: nn.Linear(4, 4, device="meta"), r"'weight' is on the meta device .* call model\.to_empty"),
    (
        "sparse",
        lambda: single(torch.eye(4).to_sparse()),
        "'weight': it is sparse_coo, and only strided tensors can be drawn",
    ),
    ("negated", lambda: single(torch._neg_view(torch.zeros(4, 4))), "'weight' is negated"),
    (
        "nested",
        lambda: single(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])),
        "'weight' is a nested tensor",
    ),
    ("lazy", lambda: nn.Sequential(nn.LazyLinear(4)), "'0.weight' is lazy .* run one batch"),
    ("empty", lambda: nn.Sequential(nn.ReLU()), "Sequential has no parameters"),
    ("no module", lambda: torch.zeros(3), "model must be a torch.nn.Module; got Tensor"),
]


@pytest.mark.parametrize(("build", "message"), [case[1:] for case in UNWRITABLE], ids=[case[0] for case in UNWRITABLE])
def test_what_cannot_be_written_is_refused_by_name(build: object, message: str) -> None:
    named = "weight" if "drawn" in message else "**"  # what is not named may be frozen, and kept
    with pytest.raises(InputError, match=message) as caught:
        initlab.init_(build(), {named: "normal"})  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_an_inference_tensor_is_refused() -> None:
    with torch.inference_mode():
        model = nn.Linear(4, 4)
    with pytest.raises(InputError, match="'weight' is an inference tensor"):
        initlab.init_(model)


def test_a_cyclic_module_is_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    model.append(nn.Sequential())
    model[1].append(model)
    with pytest.raises(InputError, match=r"cyclic: '1\.0' is 'the model' again"):
        initlab.init_(model)


def test_overlapping_parameters_are_refused() -> None:
    flat = torch.zeros(20)
    model = nn.Module()
    model.one, model.two = nn.Parameter(flat[:12].view(3, 4)), nn.Parameter(flat[8:].view(3, 4))
    with pytest.raises(InputError, match="'one' and 'two' overlap in memory"):
        initlab.init_(model, "normal")


def test_interleaved_views_that_share_no_cell_are_written() -> None:
    flat = torch.zeros(4, 6)
    model = nn.Module()
    model.one, model.two = nn.Parameter(flat[:, :3]), nn.Parameter(flat[:, 3:])
    initlab.init_(model, {"**": "normal"})
    assert (flat != 0).all()
    assert not torch.equal(flat[:, :3], flat[:, 3:])


def test_parameters_that_are_one_memory_count_as_tied() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = nn.Parameter(model[0].weight.data)
    plan = initlab.init_(model)
    assert plan["0.weight"].tied_to == ("1.weight",)
    assert len(plan) == 3


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # torch says so once a process
def test_read_only_memory_is_refused_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(64))
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 64, access=mmap.ACCESS_READ)
        weight = torch.from_numpy(np.frombuffer(mapped, dtype=np.float32).reshape(4, 4))
        with pytest.raises(InputError, match="'weight' lies in read-only memory"):
            initlab.init_(single(weight, grad=True), "normal")


def test_memory_that_torch_did_not_allocate_is_written_if_it_can_be() -> None:
    array = np.zeros((4, 4), dtype=np.float32)
    initlab.init_(single(torch.from_numpy(array), grad=True), "normal")
    assert (array != 0).all()


def test_torch_may_still_resize_the_storage() -> None:
    model = nn.Linear(4, 4)
    initlab.init_(model)
    assert model.weight.untyped_storage().resizable()


def test_in_grad_mode_autograd_notices() -> None:
    model = nn.Linear(4, 4)
    loss = (model.weight**2).sum()
    version = model.weight._version
    initlab.init_(model)
    assert model.weight._version > version
    assert model.weight.grad_fn is None
    assert model.weight.requires_grad
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_promise_03_strides_do_not_change_values(dtype: torch.dtype) -> None:
    plain, turned, stepped = (
        torch.zeros(6, 7, dtype=dtype),
        torch.zeros(7, 6, dtype=dtype).T,
        torch.zeros(12, 14, dtype=dtype),
    )
    for weight in (plain, turned, stepped[::2, ::2]):
        initlab.init_(single(weight, grad=True), "normal", seed=5)
    assert torch.equal(plain, turned)
    assert torch.equal(plain, stepped[::2, ::2])
    assert stepped[1::2].abs().max() == 0
    assert stepped[:, 1::2].abs().max() == 0


def test_a_law_beyond_the_dtype_is_refused() -> None:
    model = nn.Linear(4, 4, dtype=torch.float16)
    with pytest.raises(InputError, match=r"'weight': .*largest float16"):
        initlab.init_(model, initlab.get_scheme("normal", std=1e5))
    with pytest.raises(InputError, match=r"largest float16"):
        initlab.init_(model, {"bias": initlab.get_scheme("constant", value=1e6)})


def test_keep_leaves_parameters_alone() -> None:
    model = net()
    before = snapshot(model)
    plan = initlab.init_(model, "he_normal", keep=["0.*"])
    after = snapshot(model)
    assert before["0.weight"] == after["0.weight"]
    assert before["2.weight"] != after["2.weight"]
    assert plan["0.weight"].action == "keep"
    assert "keep='0.*'" in plan["0.weight"].reason


def test_keep_must_match() -> None:
    with pytest.raises(InputError, match=r"keep '3\.weight' matches no parameter; did you mean"):
        initlab.init_(net(), keep="3.weight")
    with pytest.raises(InputError, match="keep must be selectors"):
        initlab.init_(net(), keep=[3])


def test_frozen_parameters_are_kept_unless_named() -> None:
    model = net()
    model[0].requires_grad_(False)
    before = snapshot(model)
    plan = initlab.init_(model, "he_normal")
    assert snapshot(model)["0.weight"] == before["0.weight"]
    assert any("2 frozen parameters are kept" in warning for warning in plan.warnings)
    initlab.init_(model, {"0.weight": "he_normal"})
    assert snapshot(model)["0.weight"] != before["0.weight"]


def test_copies_of_what_is_drawn_anew_that_stay_as_they_were_are_named() -> None:
    """A target that follows what is trained (Grill et al., BYOL, 2020), a mean of weights that a buffer holds."""
    model = nn.ModuleDict({"online": net()})
    model["target"] = copy.deepcopy(model["online"]).requires_grad_(False)
    model["online"].register_buffer("mean", model["online"][2].weight.detach().clone())
    notes = [note for note in initlab.plan(model).warnings if "copy" in note]
    assert [note.split(":")[0] for note in notes] == [
        "3 frozen parameters or buffers are kept that hold what others hold which are drawn anew, as target.0.weight "
        "does of online.0.weight"
    ]
    initlab.init_(model["target"], {"**": "he_normal"})
    model["online"].mean.zero_()
    assert not [note for note in initlab.plan(model).warnings if "copy" in note]


def test_a_kept_parameter_that_is_not_finite_is_an_error_unless_it_was_named() -> None:
    model = net()
    model[0].requires_grad_(False)
    model[0].weight.data.fill_(float("nan"))
    before = snapshot(model)
    with pytest.raises(InputError, match=r"kept parameters hold nan or inf: 0\.weight"):
        initlab.init_(model)
    assert snapshot(model) == before
    plan = initlab.init_(model, keep="0.weight")
    assert any("nan or inf: 0.weight" in warning for warning in plan.warnings)


class Spare(nn.Module):
    """A token made of memory that nobody wrote, which some inputs alone read."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.token, self.body = nn.Parameter(torch.full((8,), number)), net()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(x if len(x) else x + self.token)
        return out


@pytest.mark.parametrize(("number", "kept"), [(float("nan"), 0.0), (float("inf"), 0.0), (0.3, 0.3)])
def test_what_no_pass_reads_is_zero_where_it_is_not_finite(number: float, kept: float) -> None:
    model = Spare(number)
    plan = initlab.init_(model, example_inputs=torch.zeros(2, model.body[0].in_features))
    assert model.token.tolist() == pytest.approx([kept] * 8)
    assert ("nan or inf" in plan["token"].reason) == (not kept)


def test_integer_parameters_can_be_kept() -> None:
    model = single(torch.arange(4, dtype=torch.int32))
    model.inner = nn.Linear(3, 3)
    assert initlab.init_(model, keep="weight").counts == {"write": 2, "keep": 1, "refuse": 0}
    assert initlab.init_(model, {"weight": "keep"}).counts == {"write": 0, "keep": 3, "refuse": 0}
    assert model.weight.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("shape", [(), (7,), (10, 3), (4, 5, 6), (1, 40)], ids=str)
@pytest.mark.parametrize("limit", [8, 64, 10_000])
def test_staged_copies_give_the_same_bits(shape: tuple[int, ...], limit: int) -> None:
    everything = tuple(slice(0, size) for size in shape)
    for dtype in (torch.float32, torch.bfloat16):
        whole, staged = torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)
        for target, way in ((whole, 10**9), (staged, limit)):
            part = Part(target, shape, ((everything, everything),))
            stage(target, Job("w", target, part, laws.Normal(0.0, 1.0)), 3, pin=False, limit=way)
        assert torch.equal(whole, staged)
        assert (whole != 0).all()


def test_staged_copies_of_a_law_that_is_made_whole() -> None:
    everything = (slice(0, 6), slice(0, 4))
    target = torch.zeros(6, 4)
    job = Job("w", target, Part(target, (6, 4), ((everything, everything),)), laws.Orthogonal(1.0))
    stage(target, job, 3, pin=False, limit=32)
    assert torch.allclose(target.T @ target, torch.eye(4), atol=1e-5)


@pytest.mark.parametrize("shape", [(), (3,), (5, 7), (2, 3, 4), (0, 3), (3, 0)], ids=str)
@pytest.mark.parametrize("limit", [1, 16, 100, 10_000])
def test_row_blocks_cover_each_element_once(shape: tuple[int, ...], limit: int) -> None:
    seen = np.zeros(shape, dtype=int)
    for block in tensors.row_blocks(shape, 4, limit):
        seen[block] += 1
        assert seen[block].size * 4 <= max(limit, 4)
    assert (seen == 1).all()


@pytest.mark.parametrize(
    "context",
    [torch.no_grad, torch.inference_mode, torch.enable_grad, lambda: torch.device("meta")],
    ids=["no_grad", "inference_mode", "enable_grad", "device meta"],
)
@pytest.mark.parametrize("policy", ["auto", "orthogonal"])
def test_what_torch_is_set_to_does_not_change_values(context: object, policy: str) -> None:
    plain, inside = net(), net()
    initlab.init_(plain, policy, seed=6)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with context():  # type: ignore[operator]
            initlab.init_(inside, policy, seed=6)
    finally:
        torch.set_default_dtype(default)
    assert snapshot(plain) == snapshot(inside)


def job(law: laws.Law, *shape: int) -> Job:
    tensor = torch.zeros(shape)
    return Job("w", tensor, part_of("w", tensor), law)


FACTOR, SMALL_BIAS, LARGE = job(laws.Orthogonal(), 4, 4), job(laws.Constant(0.0), 4), job(laws.Normal(), 300, 300)


@pytest.mark.parametrize(
    ("jobs", "sizes"),
    [
        ([FACTOR, SMALL_BIAS, FACTOR, SMALL_BIAS], [4]),
        ([FACTOR, SMALL_BIAS, LARGE, FACTOR], [1, 1, 1, 1]),
        ([SMALL_BIAS, SMALL_BIAS], [1, 1]),
        ([FACTOR, FACTOR, LARGE, FACTOR, FACTOR, FACTOR], [2, 1, 3]),
        ([], []),
    ],
)
def test_factors_are_drawn_beside_one_another(jobs: list[Job], sizes: list[int]) -> None:
    found = list(batches(jobs))
    assert [len(some) for some in found] == sizes
    assert [one for some in found for one in some] == jobs


def orthogonal_model() -> nn.Module:
    return nn.Sequential(*[nn.Linear(12, 12) for _ in range(9)])


def test_factors_are_the_same_however_many_threads_draw_them(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for threads in ("1", "3"):
        monkeypatch.setenv("INITLAB_THREADS", threads)
        model = orthogonal_model()
        initlab.init_(model, {"@Linear": "orthogonal", "*.bias": "zeros"}, seed=5)
        written.append([parameter.detach().clone() for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*written, strict=True))


def test_an_interrupt_among_factors_leaves_each_new_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fourth fails: all of its batch are written again, and then are whole."""
    model, whole = orthogonal_model(), orthogonal_model()
    initlab.init_(whole, "orthogonal", seed=5)
    original, calls = drawing.write_one, itertools.count()

    def breaks(one: Job, seed: int) -> None:
        if next(calls) == 3:
            raise KeyboardInterrupt
        original(one, seed)

    monkeypatch.setattr(drawing, "write_one", breaks)
    with pytest.raises(InterruptedInitError, match="18 of 18 parameters were written"):
        initlab.init_(model, "orthogonal", seed=5)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), whole.parameters(), strict=True))
