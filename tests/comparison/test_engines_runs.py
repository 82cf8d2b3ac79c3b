"""What becomes of runs: divergence, dropping, adding, refusals, and the random numbers that are left alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from initlab.errors import InputError
from initlab.training.engines import ENGINES, get_engine
from initlab.training.engines.runs import make_model
from initlab.training.engines.stacked import StackedSession
from initlab.training.task import RunSpec, Task

ENGINE_NAMES = ["sequential", "stacked:4", "processes:stacked:4"]


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 3))


def pair(samples: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(samples, 6, generator=generator), torch.randint(0, 3, (samples,), generator=generator)


def task(**changes) -> Task:
    return Task(
        **{
            "build": build,
            "train": pair(),
            "test": pair(),
            "optimizer": "sgd",
            "batch_size": 16,
            "steps": 30,
            **changes,
        }
    )


def spec(key: str, seed: int = 0, lr: float = 0.05) -> RunSpec:
    return RunSpec(key, "built", None, seed, lr)


def becoming(value: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A squared error of the first weight's making: `value` as soon as an output is beyond 50."""

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        plain = (output - target[:, None]).square().mean()
        return torch.where(output.abs().max() > 50, plain.detach() * 0 + value, plain)

    return loss


@pytest.mark.parametrize("padding", [-100, 2])
@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_targets_that_the_loss_leaves_out_are_not_scored(engine: str, padding: int) -> None:
    """They counted as wrong answers, and a batch of nothing else made the loss nan."""
    x, y = pair(40)
    y[y == 2] = padding
    y[:10] = padding
    loss = nn.CrossEntropyLoss(ignore_index=padding)
    given, kept = task(train=(x, y), test=(x, y), loss=loss, eval_batch=10), y != padding
    output = make_model(given, spec("one")).eval()(x)
    session = get_engine(engine).open(given, [spec("one"), spec("two", seed=1)])
    found, accuracy = session.evaluate()["one"]
    session.close()
    # each batch counts by how many targets it has, as one mean over all of them does
    assert found == pytest.approx(float(loss(output, y).detach()), rel=1e-5)
    assert accuracy == pytest.approx(float((output.argmax(1) == y)[kept].double().mean()))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_a_loss_that_is_not_finite_ends_its_run_and_no_other(engine: str, value: float) -> None:
    given = task(loss=becoming(value))
    specs = [spec("calm"), spec("wild", lr=1e4), spec("other", seed=1)]
    session = get_engine(engine).open(given, specs)
    progress = session.advance(10)
    wild = progress["wild"]
    assert wild.diverged
    assert len(wild.losses) == wild.steps + 1 < 10
    assert np.isfinite(wild.losses[:-1]).all()
    assert wild.losses[-1] == pytest.approx(value, nan_ok=True)
    assert session.live == ("calm", "other")
    assert set(session.advance(10)) == {"calm", "other"}
    scores = session.evaluate()
    assert math.isnan(scores["wild"][0])
    assert math.isfinite(scores["calm"][0])
    session.close()
    alone = get_engine(engine).open(given, specs[:1])
    np.testing.assert_allclose(alone.advance(10)["calm"].losses, progress["calm"].losses, rtol=1e-5)
    alone.close()


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_runs_are_dropped_added_and_ended(engine: str) -> None:
    session = get_engine(engine).open(task(), [spec(str(i), seed=i) for i in range(6)])
    session.advance(10)
    session.drop(["1", "2", "4", "no such run"])
    assert session.live == ("0", "3", "5")
    session.add([spec("new", seed=9)])
    assert {key: one.steps for key, one in session.advance(15).items()} == {"0": 25, "3": 25, "5": 25, "new": 15}
    assert {key: len(one.losses) for key, one in session.advance(15).items()} == {"0": 5, "3": 5, "5": 5, "new": 15}
    assert session.live == ()
    assert session.advance(1) == {}
    assert set(session.evaluate()) == {"0", "3", "5", "new"}
    session.close()
    session.close()


def test_what_is_left_of_stacks_is_joined() -> None:
    session = StackedSession(task(), split=4)
    specs = [spec(str(i), seed=i) for i in range(12)]
    from initlab.training.engines.runs import make_models

    session.take(specs, make_models(task(), specs))
    session.advance(5)
    session.drop([str(i) for i in range(12) if i % 3])
    assert [len(trainer.bundle) for trainer in session._trainers] == [4]
    joined = session.advance(5)
    session.close()
    whole = get_engine("sequential").open(task(), specs)
    whole.advance(5)
    expected = whole.advance(5)
    for key, one in joined.items():
        np.testing.assert_allclose(one.losses, expected[key].losses, rtol=1e-5)


@pytest.mark.parametrize("engine", [*ENGINE_NAMES, "auto"])
def test_global_random_numbers_are_neither_read_nor_moved(engine: str) -> None:
    outcomes = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
        session = get_engine(engine).open(task(), [spec("a"), spec("b", seed=1)])
        outcomes.append({key: one.losses for key, one in session.advance(12).items()})
        session.evaluate()
        session.close()
        assert torch.equal(before[0], torch.get_rng_state())
        assert np.array_equal(before[1], np.random.get_state()[1])
        assert before[2] == random.getstate()
    for key, losses in outcomes[0].items():
        np.testing.assert_array_equal(losses, outcomes[1][key])


def test_dropout_differs_between_runs_of_one_seed_and_repeats_for_one_key() -> None:
    def curve(key: str) -> np.ndarray:
        session = get_engine("stacked:2").open(task(), [spec(key), spec("other")])
        return session.advance(5)[key].losses

    np.testing.assert_array_equal(curve("a"), curve("a"))
    assert not np.array_equal(curve("a"), curve("b"))


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_a_scheme_writes_the_starting_weights(engine: str) -> None:
    zeros = RunSpec("zeros", "zeros", "zeros", 0, 0.0)
    session = get_engine(engine).open(task(), [zeros, spec("built")])
    losses = session.advance(1)
    session.close()
    assert losses["zeros"].losses[0] == pytest.approx(math.log(3), rel=1e-6)  # all classes alike
    assert losses["built"].losses[0] != pytest.approx(math.log(3), rel=1e-6)


BAD = [
    ({"build": 3}, "build must be a callable"),
    ({"batch_size": 0}, "batch_size must be a whole number"),
    ({"steps": 0}, "steps must be a whole number"),
    ({"steps": True}, "steps must be a whole number"),
    ({"eval_batch": 1.5}, "eval_batch must be a whole number"),
    ({"root_seed": -1}, "root_seed must be an integer"),
    ({"optimizer": "sdg"}, "did you mean 'sgd'"),
    ({"options": {"momentun": 0.9}}, "did you mean 'momentum'"),
    ({"options": {"momentum": math.nan}}, "momentum must be a finite number"),
    ({"options": {"nesterov": True}}, "nesterov=True needs momentum"),
    ({"optimizer": "adam", "options": {"betas": (0.9, 1.0)}}, "betas must be two numbers"),
    ({"optimizer": "adam", "options": {"eps": -1.0}}, "eps must be at least 0"),
    ({"dtype": torch.float16}, "dtype must be torch.float32"),
    ({"loss": 3}, "loss must be 'auto', a loss's name or a callable"),
    ({"loss": "mze"}, "unknown loss 'mze'"),
    ({"train": [1, 2]}, "train must be"),
    ({"train": (torch.zeros(2, 3), torch.zeros(3))}, "as many targets as samples"),
    ({"test": (torch.zeros(0, 3), torch.zeros(0))}, "at least one sample"),
    ({"valid": (torch.zeros(2, 3), [0, 1])}, "valid must be a pair"),
]


@pytest.mark.parametrize(("change", "says"), BAD, ids=[says for _, says in BAD])
def test_a_task_that_cannot_be_meant_is_refused_in_one_line(change: dict, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        task(**change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("lr", math.nan), ("lr", math.inf), ("lr", -1.0), ("weight_decay", -0.1), ("seed", -1), ("seed", 1.5)],
)
def test_a_run_that_cannot_be_meant_is_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        RunSpec(**{"key": "a", "scheme_label": "a", "policy": None, "seed": 0, "lr": 0.1, field: value})


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_refusals_of_a_session(engine: str) -> None:
    with pytest.raises(InputError, match="key of its own; got 'a' twice"):
        get_engine(engine).open(task(), [spec("a"), spec("a")])
    with pytest.raises(InputError, match="build must return an"):
        get_engine(engine).open(task(build=lambda: 3), [spec("a")])
    with pytest.raises(InputError, match=r"loss must return a scalar tensor; got \(16, 3\)"):
        get_engine(engine).open(task(loss=lambda output, target: output), [spec("a"), spec("b")]).advance(1)
    session = get_engine(engine).open(task(), [spec("a")])
    with pytest.raises(InputError, match="twice"):
        session.add([spec("a")])
    with pytest.raises(InputError, match="no validation data"):
        session.evaluate("valid")
    with pytest.raises(InputError, match="must be 'test' or 'valid'"):
        session.evaluate("tset")
    session.close()


@pytest.mark.parametrize("name", ["stackt", "sequential:3", "stacked:0", "stacked:x", "processes:stackd", "", "auto:1"])
def test_an_engine_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        get_engine(name)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_plan_names_the_engine_that_trains_so_again(engine: str) -> None:
    specs = [spec("a"), spec("b", seed=1)]
    first = get_engine(engine).open(task(), specs)
    losses, plan, choice = first.advance(5), first.plan, first.choice
    first.close()
    assert choice.startswith(plan.split(":")[0])
    assert "\n" not in choice
    again = get_engine(plan).open(task(), specs)
    assert again.plan == plan
    for key, one in again.advance(5).items():
        np.testing.assert_array_equal(one.losses, losses[key].losses)
    again.close()


def test_no_runs_is_no_error() -> None:
    for engine in ENGINES:
        session = get_engine(engine).open(task(), [])
        assert session.advance(3) == {} == dict(session.evaluate())
        session.add([spec("a")])
        assert session.advance(3)["a"].steps == 3
        session.close()


class Complex(nn.Module):
    """A layer of complex weights between real ones."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.head = nn.Parameter(torch.randn(6, 8, dtype=torch.complex64)), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((x.to(self.weight.dtype) @ self.weight).abs())


@pytest.mark.parametrize(("dtype", "partner"), [(torch.float32, torch.complex64), (torch.float64, torch.complex128)])
def test_complex_parameters_stay_complex(dtype: torch.dtype, partner: torch.dtype) -> None:
    model = make_model(task(build=Complex, dtype=dtype), RunSpec("a", "built", None, 0, 0.01))
    assert (model.weight.dtype, model.head.weight.dtype) == (partner, dtype)
    assert model.weight.imag.any()
