"""The public surface: what DESIGN's contract names is there, light to import, and says itself well."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import initlab

HEAVY = ("torch", "numba", "scipy", "sklearn", "optuna", "plotly", "pandas", "jinja2", "rich", "typer")
CONTRACT = (
    "plan",
    "init_",
    "get_scheme",
    "list_schemes",
    "inspect",
    "compare",
    "search",
    "fit.lsuv_",
    "fit.pretrain_dbn_",
    "theory.gain",
    "theory.criticality",
    "theory.propagate",
    "InputError",
    "UntrainableError",
    "data.digits",
    "data.mnist",
)


@pytest.mark.parametrize("name", CONTRACT)
def test_the_contract_is_there(name: str) -> None:
    value = initlab
    for part in name.split("."):
        value = getattr(value, part)
    assert callable(value)
    assert value.__doc__


def test_every_public_name_loads() -> None:
    for name in initlab.__all__:
        assert getattr(initlab, name) is not None
        assert name in dir(initlab)


def test_star_gives_the_public_names_and_nothing_else() -> None:
    given: dict[str, object] = {}
    exec("from initlab import *", given)
    assert sorted(set(given) - {"__builtins__"}) == initlab.__all__
    assert given["fit"] is initlab.fitting


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="innit"):
        _ = initlab.innit


def test_import_loads_nothing_heavy() -> None:
    code = f"import sys, initlab; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_digits_load_nothing_of_a_download() -> None:
    code = "import sys, initlab; initlab.data.digits(); print([m for m in ('pooch', 'tqdm.auto') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "initlab", "--help"], capture_output=True, text=True, check=True)
    for verb in ("demo", "schemes", "plan", "inspect", "compare", "search", "reproduce"):
        assert verb in done.stdout


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(initlab.__file__).parent / "py.typed").exists()


def test_torchs_default_device_is_where_a_model_makes_tensors_and_not_where_initlab_does() -> None:
    model, x = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 3)), torch.randn(32, 6)
    wanted = initlab.plan(model, x)
    torch.set_default_device("meta")
    try:
        assert initlab.init_(model, "auto", example_inputs=x).entries == wanted.entries
        assert initlab.inspect(model, x).verdict == "healthy"
        assert initlab.theory.gain(nn.functional.gelu) > 1
        initlab.fit.metainit_(model, (x, x[:, :3].argmax(1)), steps=1)
    finally:
        torch.set_default_device(None)


NET = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
X = torch.linspace(-1, 1, 128).reshape(16, 8).sin()


@pytest.mark.parametrize("odd", ["False", torch.zeros(0), torch.ones(2, 2), np.ones(3), None])
@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("line_probe", lambda odd: initlab.inspect(NET, X, torch.arange(16) % 3, line_probe=odd)),
        ("balance", lambda odd: initlab.fit.data_dependent_(NET, X, balance=odd)),
        ("rollback", lambda odd: initlab.init_(NET, rollback=odd)),
        ("flat", lambda odd: initlab.data.digits(flat=odd)),
        ("normalize", lambda odd: initlab.data.mnist(normalize=odd)),
        ("persistent", lambda odd: initlab.fit.RBM(4, persistent=odd)),
        ("progress", lambda odd: initlab.fit.pretrain_dbn_(NET, X, progress=odd)),
        ("progress", lambda odd: initlab.fit.finetune_(NET, (X, torch.arange(16) % 3), progress=odd)),
        ("orthogonal", lambda odd: initlab.theory.jacobian_spread("relu", 2, orthogonal=odd)),
    ],
)
def test_a_flag_is_true_or_false_and_nothing_else(argument: str, call: Callable[[Any], Any], odd: Any) -> None:
    with pytest.raises(initlab.InputError, match=f"^{argument} must be True or False; got"):
        call(odd)


def compared(**changes: Any) -> Any:
    given = {"schemes": ["zeros"], "seeds": 1, "steps": 1, "batch_size": 8, **changes}
    return initlab.compare(lambda: nn.Linear(8, 3), (X, torch.arange(16) % 3), (X, torch.arange(16) % 3), **given)


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("keep must be selectors", lambda: initlab.init_(NET, keep=torch.tensor(0.0))),  # type: ignore[arg-type]
        ("loaded must be a state dict", lambda: initlab.init_(NET, loaded=torch.tensor(0.0))),
        ("unknown scaling rule", lambda: initlab.param_groups(NET, "adamw", 1e-3, rule=["mup"])),  # type: ignore[arg-type]
        ("unknown mode", lambda: initlab.get_scheme("variance_scaling", mode=["fan_in"])),
        ("unknown experiment", lambda: initlab.experiments.get_experiment(["lsuv"])),  # type: ignore[arg-type]
        ("schemes must be a list", lambda: compared(schemes=torch.tensor(0.0))),
        ("options must be a mapping", lambda: compared(options=np.ones(3))),
        ("options must be a mapping", lambda: compared(options=np.ones(0))),
        ("loss must be 'auto'", lambda: compared(loss=np.ones((9, 9)))),
        ("dtype must be torch.float32 or torch.float64; got array", lambda: compared(dtype=np.ones((9, 9)))),
        ("device must be 'cpu' .*got array", lambda: compared(device=np.ones((9, 9)))),
        ("steps must be at most", lambda: compared(steps=10**400)),
        ("batch_size must be at most", lambda: compared(batch_size=1 << 60)),
        ("progress must be True or False", lambda: compared(progress=np.ones(3))),
        ("lr must be at most", lambda: initlab.inspect(NET, X, torch.arange(16) % 3, lr=1e300)),
    ],
)
def test_what_no_argument_can_be_is_refused_by_its_name(words: str, call: Callable[[], Any]) -> None:
    with pytest.raises(initlab.InputError, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)
