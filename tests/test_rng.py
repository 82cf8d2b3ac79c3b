"""Every global random state: kept, seeded, compared, whatever happens in between."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from initlab.rng import random_states, random_states_kept, seed_random_states, set_random_states

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def draws() -> tuple[float, float, float, float]:
    """One number of each kind; numpy's normal keeps a second one back in its state."""
    return random.random(), random.gauss(0, 1), float(np.random.standard_normal()), float(torch.rand(()))


@pytest.mark.parametrize("seed", [None, 0, 2**64 - 1])
def test_what_is_drawn_inside_leaves_no_trace(seed: int | None) -> None:
    with random_states_kept(3):
        draws()
        before = random_states()
        with random_states_kept(seed):
            draws()
            assert not random_states().same_as(before)
        assert random_states().same_as(before)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_is_raised_in_the_middle_leaves_no_trace(error: type[BaseException]) -> None:
    def fails() -> None:
        draws()
        raise error

    before = random_states()
    with pytest.raises(error), random_states_kept(1):
        fails()
    assert random_states().same_as(before)


@pytest.mark.parametrize("draw", [random.random, np.random.random, lambda: torch.rand(1), np.random.standard_normal])
def test_one_number_drawn_is_seen(draw) -> None:  # type: ignore[no-untyped-def]
    with random_states_kept(0):
        before = random_states()
        assert random_states().same_as(before)
        draw()
        assert not random_states().same_as(before)


def test_a_seed_fixes_what_is_drawn_and_states_can_be_put_back_twice() -> None:
    with random_states_kept(7):
        first = draws()
        middle = random_states()
        second = draws()
        set_random_states(middle)
        assert draws() == second != first
        set_random_states(middle)
        assert draws() == second
        seed_random_states(7)
        assert draws() == first


def test_a_bit_generator_of_the_users_own_is_kept() -> None:
    with random_states_kept():
        np.random.set_state({"bit_generator": "MT19937", "state": {"key": np.arange(624, dtype=np.uint32), "pos": 5}})
        before = random_states()
        with random_states_kept(1):
            draws()
        assert random_states().same_as(before)


def test_neither_numpy_nor_torch_is_imported() -> None:
    code = (
        "import importlib.util, sys, random\n"
        "spec = importlib.util.spec_from_file_location('rng', sys.argv[1])\n"
        "rng = importlib.util.module_from_spec(spec); sys.modules['rng'] = rng; spec.loader.exec_module(rng)\n"
        "before = random.getstate()\n"
        "with rng.random_states_kept(1): random.random()\n"
        "assert random.getstate() == before\n"
        "assert not {'numpy', 'torch'} & set(sys.modules)\n"
    )
    path = sys.modules["initlab.rng"].__file__
    assert path is not None
    subprocess.run([sys.executable, "-c", code, path], check=True)


@needs_cuda
def test_every_cuda_generator_is_kept_and_seeded() -> None:
    torch.cuda.init()
    before = random_states()
    for index in range(torch.cuda.device_count()):
        device = f"cuda:{index}"
        with random_states_kept(5):
            first = torch.rand(3, device=device)
            seed_random_states(5)
            assert torch.equal(first, torch.rand(3, device=device))
            assert not random_states().same_as(before)
        assert random_states().same_as(before)


@needs_cuda
def test_a_device_that_is_named_is_initialised_first() -> None:
    code = (
        "import torch\n"
        "from initlab.rng import random_states, random_states_kept\n"
        "with random_states_kept(5, 'cuda'):\n"
        "    one = torch.rand(3, device='cuda')\n"
        "with random_states_kept(5, 'cuda'):\n"
        "    assert torch.equal(one, torch.rand(3, device='cuda'))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
