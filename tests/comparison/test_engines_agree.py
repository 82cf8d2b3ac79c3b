"""Every engine trains each run as a plain torch.optim loop would, whatever the engine and however steps are cut."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from initlab.rng import random_states_kept
from initlab.training.batches import orders
from initlab.training.engines import get_engine
from initlab.training.engines.runs import forward_seed, make_model
from initlab.training.sources import InMemory, Streamed
from initlab.training.task import Progress, RunSpec, Task

STEPS = 50


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(20, 16),
        nn.ReLU(),
        nn.Linear(16, 12, bias=False),
        nn.Tanh(),
        nn.Linear(12, 8),
        nn.GELU(),
        nn.Linear(8, 5),
    )


def norm_and_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 5))


def convolutions() -> nn.Module:
    image = nn.Unflatten(1, (1, 4, 5))
    body = (nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.2), nn.Conv2d(4, 4, 3))
    return nn.Sequential(image, *body, nn.Flatten(), nn.Linear(24, 5))


class Tied(nn.Module):
    """Two layers of one weight, a frozen bias, a residual sum, a parameter that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(20, 20), nn.Linear(20, 20), nn.Linear(20, 5)
        self.second.weight = self.first.weight
        self.second.bias.requires_grad_(False)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.silu(self.first(x))
        return self.last(h + F.softplus(self.second(h)))


MODELS = {"mlp": mlp, "norm_and_dropout": norm_and_dropout, "convolutions": convolutions, "tied": Tied}
OPTIMIZERS = {
    "sgd": ("sgd", {}, 0.05),
    "momentum": ("sgd", {"momentum": 0.9}, 0.02),
    "nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}, 0.02),
    "adam": ("adam", {"betas": (0.8, 0.99)}, 0.003),
    "adamw": ("adamw", {"eps": 1e-6}, 0.003),
}
TORCH = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def data(targets: str, samples: int = 203) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, 20, generator=generator, dtype=torch.float64)
    classes = torch.randint(0, 5, (samples,), generator=generator)
    return x, classes if targets == "classes" else torch.randn(samples, 5, generator=generator, dtype=torch.float64)


@functools.cache
def task_of(model: str, optimizer: str, targets: str = "classes", dtype: torch.dtype = torch.float64, **rest) -> Task:
    name, options, _ = OPTIMIZERS[optimizer]
    pair = data(targets)
    given = {"batch_size": 32, "steps": STEPS, "root_seed": 3, "drop_last": False, **rest}
    return Task(MODELS[model], pair, pair, optimizer=name, options=options, dtype=dtype, **given)


def specs_of(optimizer: str, seeds: int = 2) -> list[RunSpec]:
    """Runs that differ in seed, learning rate and weight decay."""
    lr = OPTIMIZERS[optimizer][2]
    pairs = ((lr, 0.0), (lr / 3, 0.1))
    return [
        RunSpec(f"{seed} {rate:g}", "built", None, seed, rate, decay) for seed in range(seeds) for rate, decay in pairs
    ]


def reference(task: Task, spec: RunSpec) -> tuple[np.ndarray, float, float]:
    """(losses, test loss, test accuracy) of the loop that anyone would write with torch.optim."""
    model = make_model(task, spec)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = TORCH[task.optimizer](trained, lr=spec.lr, weight_decay=spec.weight_decay, **task.options)
    x, y = (part.to(task.dtype) if part.is_floating_point() else part for part in task.train)
    loss_fn = F.mse_loss if y.is_floating_point() else F.cross_entropy
    order = next(iter(orders(task, [spec], len(x)).values()))
    losses = []
    with random_states_kept(forward_seed(task, spec)):
        for step in range(task.steps):
            batch = order.batch(step)
            optimizer.zero_grad()
            loss = loss_fn(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    with torch.no_grad():
        output = model.eval()(x)
        right = float("nan") if y.is_floating_point() else float((output.argmax(1) == y).double().mean())
        return np.array(losses), float(loss_fn(output, y)), right


def train(engine: str, task: Task, specs: list[RunSpec], cuts: tuple[int, ...] = (STEPS,)):
    session = get_engine(engine).open(task, specs)
    try:
        parts: list[dict[str, Progress]] = [session.advance(cut) for cut in cuts]
        losses = {
            spec.key: np.concatenate([part[spec.key].losses for part in parts if spec.key in part]) for spec in specs
        }
        return losses, dict(session.evaluate("test"))
    finally:
        session.close()


@pytest.mark.parametrize(("optimizer", "targets"), [*((name, "classes") for name in OPTIMIZERS), ("sgd", "floats")])
@pytest.mark.parametrize("model", MODELS)
def test_engines_equal_the_torch_optim_loop_in_fp64(model: str, optimizer: str, targets: str) -> None:
    task, specs = task_of(model, optimizer, targets), specs_of(optimizer)
    expected = {spec.key: reference(task, spec) for spec in specs}
    for engine in ("sequential", "stacked:3"):
        losses, scores = train(engine, task, specs)
        for key, (curve, loss, accuracy) in expected.items():
            # Summation order differs; the issue asks for 1e-5 after 50 steps.
            np.testing.assert_allclose(losses[key], curve, rtol=1e-9, err_msg=f"{engine} {key}")
            assert scores[key][0] == pytest.approx(loss, rel=1e-7)
            assert scores[key][1] == (pytest.approx(accuracy) if targets == "classes" else None)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two workers: as many as torch may use threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("model", "engine"),
    [
        ("mlp", "processes:stacked:2"),
        ("norm_and_dropout", "processes:sequential"),
        ("convolutions", "auto"),
    ],
)
def test_workers_equal_the_torch_optim_loop_in_fp64(model: str, engine: str) -> None:
    task, specs = task_of(model, "momentum"), specs_of("momentum", seeds=3)
    losses, scores = train(engine, task, specs)
    for spec in specs:
        curve, loss, accuracy = reference(task, spec)
        np.testing.assert_allclose(losses[spec.key], curve, rtol=1e-9)
        assert scores[spec.key] == (pytest.approx(loss, rel=1e-7), pytest.approx(accuracy))


@pytest.mark.parametrize("model", MODELS)
def test_fp32_agrees_to_rounding(model: str) -> None:
    task, specs = task_of(model, "momentum", dtype=torch.float32, steps=20), specs_of("momentum")
    losses, _ = train("stacked:4", task, specs, (20,))
    for spec in specs:
        # 20 steps of momentum at most multiply a relative rounding of 6e-8 by some hundreds.
        np.testing.assert_allclose(losses[spec.key], reference(task, spec)[0], rtol=2e-4)


@pytest.mark.parametrize("engine", ["sequential", "stacked:3", "processes:stacked:2"])
@pytest.mark.parametrize("model", ["mlp", "convolutions"])
def test_however_the_steps_are_cut_the_numbers_are_the_same(model: str, engine: str) -> None:
    task, specs = task_of(model, "adam"), specs_of("adam")
    whole, in_parts = train(engine, task, specs), train(engine, task, specs, (1, 7, 13, 100))
    assert {key: len(curve) for key, curve in in_parts[0].items()} == {spec.key: STEPS for spec in specs}
    for key, curve in whole[0].items():
        np.testing.assert_array_equal(in_parts[0][key], curve)
    assert in_parts[1] == whole[1]


@pytest.mark.parametrize("optimizer", ["momentum", "adam", "adamw"])
@pytest.mark.parametrize("model", MODELS)
def test_a_run_is_the_same_whatever_runs_beside_it(model: str, optimizer: str) -> None:
    """Alone, a run's lr and weight decay are numbers, and Adam's kernel is the fused one; beside others, neither."""
    task, specs = task_of(model, optimizer, steps=20), specs_of(optimizer, seeds=4)
    together, _ = train("stacked:8", task, specs)
    alone, _ = train("stacked:1", task, specs[3:4])
    np.testing.assert_allclose(together[specs[3].key], alone[specs[3].key], rtol=1e-9)


def test_streamed_samples_train_as_those_in_memory() -> None:
    x, y = data("classes")
    pairs = [(x[i].numpy(), int(y[i])) for i in range(len(x))]
    kept = task_of("mlp", "sgd")
    streamed = Task(mlp, Streamed(pairs, torch.float64), Streamed(pairs, torch.float64), optimizer="sgd", batch_size=32,
                    steps=STEPS, root_seed=3, drop_last=False, dtype=torch.float64)  # fmt: skip
    for engine in ("sequential", "stacked:4", "processes:stacked:2"):
        expected, found = (train(engine, task, specs_of("sgd")) for task in (kept, streamed))
        for key, curve in expected[0].items():
            np.testing.assert_allclose(found[0][key], curve, rtol=1e-12)
        np.testing.assert_allclose(list(found[1].values()), list(expected[1].values()), rtol=1e-12)


def test_a_loss_of_ones_own_is_used_by_every_engine() -> None:
    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (output.log_softmax(1).gather(1, target[:, None]).squeeze(1).neg() ** 1.5).mean()

    x, y = data("classes")
    task = Task(mlp, (x, y), (x, y), loss=loss, optimizer="sgd", batch_size=32, steps=20, dtype=torch.float64)
    expected = train("sequential", task, specs_of("sgd"), (20,))
    for engine in ("stacked:4", "processes:stacked:2"):
        found = train(engine, task, specs_of("sgd"), (20,))
        for key, curve in expected[0].items():
            np.testing.assert_allclose(found[0][key], curve, rtol=1e-9)
    assert (
        abs(expected[0]["0 0.05"][0] - train("sequential", task_of("mlp", "sgd"), specs_of("sgd"))[0]["0 0.05"][0])
        > 0.1
    )


def test_targets_of_one_number_fit_outputs_of_one_column() -> None:
    x, _ = data("classes")
    task = Task(lambda: nn.Linear(20, 1), (x, x.sum(1)), (x, x.sum(1)), optimizer="sgd", batch_size=32, steps=STEPS,
                dtype=torch.float64)  # fmt: skip
    for engine in ("sequential", "stacked"):
        losses, scores = train(engine, task, specs_of("sgd"))
        assert losses["0 0.05"][-1] < 0.05 * losses["0 0.05"][0]
        assert scores["0 0.05"][1] is None


def test_schemes_with_one_seed_are_paired() -> None:
    task = task_of("mlp", "sgd")
    specs = [RunSpec(f"{label} {seed}", label, None, seed, 0.0) for label in ("a", "b") for seed in (0, 1)]
    losses, _ = train("sequential", task, specs)
    np.testing.assert_array_equal(losses["a 0"], losses["b 0"])
    assert not np.array_equal(losses["a 0"], losses["a 1"])


def test_a_shared_order_is_one_for_all_seeds() -> None:
    def constant() -> nn.Module:
        model = nn.Linear(20, 5)
        nn.init.constant_(model.weight, 0.1)
        nn.init.zeros_(model.bias)
        return model

    x, y = data("floats")
    specs = [RunSpec(str(seed), "built", None, seed, 0.01) for seed in (0, 1)]
    curves = {}
    for shared in (True, False):
        task = Task(constant, (x, y), (x, y), optimizer="sgd", batch_size=32, steps=9, shared_order=shared)
        curves[shared], _ = train("stacked:2", task, specs, (9,))
    np.testing.assert_array_equal(curves[True]["0"], curves[True]["1"])
    assert not np.allclose(curves[False]["0"], curves[False]["1"])


def test_every_epoch_visits_every_sample_once_in_a_new_order() -> None:
    for drop_last, expected in ((True, 6), (False, 7)):
        task = Task(mlp, data("classes"), data("classes"), batch_size=32, drop_last=drop_last)
        order = next(iter(orders(task, [RunSpec("a", "a", None, 0, 0.1)], 203).values()))
        assert order.steps_per_epoch == expected
        epochs = [torch.cat([order.batch(e * expected + i) for i in range(expected)]) for e in (0, 1, 0)]
        assert len(epochs[0].unique()) == len(epochs[0]) == (203 if not drop_last else 192)
        assert torch.equal(epochs[0], epochs[2])
        assert not torch.equal(epochs[0], epochs[1])


def test_memory_is_shared_with_what_the_user_gave() -> None:
    x, y = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)
    task = Task(mlp, (x, y), (x, y))
    from initlab.training.batches import with_sources

    source = with_sources(task).train
    assert isinstance(source, InMemory)
    assert source.x.data_ptr() == x.data_ptr()
    assert source.y.data_ptr() == y.data_ptr()


@pytest.mark.parametrize("model", ["mlp", "convolutions"])
def test_evaluation_takes_the_same_batches_in_every_engine(model: str) -> None:
    def root(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(output, target).sqrt()  # no mean: its average depends on how samples are cut

    x, y = data("classes")
    task = Task(MODELS[model], (x, y), (x, y), loss=root, eval_batch=50, batch_size=32, steps=3, dtype=torch.float64)
    scores = [train(engine, task, specs_of("adamw"), (3,))[1] for engine in ("sequential", "stacked:4")]
    for key, score in scores[0].items():
        assert scores[1][key] == pytest.approx(score, rel=1e-9)


def test_on_one_thread_the_size_of_a_stack_changes_no_bit() -> None:
    """So that 12 runs, and 6 runs then 6 more, give one table. (`one_thread` holds for every test here.)"""
    x, y = data("classes")
    task = Task(mlp, (x, y), (x, y), optimizer="sgd", batch_size=32, steps=30)
    specs = [RunSpec(f"{label} {seed}", label, None, seed, 0.05) for label in "abc" for seed in range(4)]
    alone, _ = train("stacked:1", task, specs, (30,))
    for size in (3, 6, 12):
        found, _ = train(f"stacked:{size}", task, specs, (30,))
        for key, curve in alone.items():
            np.testing.assert_array_equal(found[key], curve)
