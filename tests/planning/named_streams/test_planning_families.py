"""Families of transformers: `reinit_` gives each parameter the library's law, and an audit of a fresh one is clean."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES
from scipy import stats

import initlab
from initlab.planning.memory.samples import values_of

# Drawn into what a parametrization computes, which keeps nothing of it: the library's own start does not reach them.
UNREACHED = {"wav2vec2": {"original0", "original1"}}
CHANCE = 1e-6  # of some 1,200 comparisons one at this level fails by chance once in 800 runs


@pytest.mark.parametrize("family", FAMILIES)
def test_the_librarys_own_start_by_its_law(family: str) -> None:
    torch.manual_seed(0)
    built = FAMILIES[family]()
    torch.manual_seed(1)
    drawn, again = FAMILIES[family](), FAMILIES[family]()
    state = torch.get_rng_state()
    log = initlab.reinit_(drawn, seed=3)
    if family not in UNREACHED:
        assert torch.equal(torch.get_rng_state(), state)
    assert {name.rpartition(".")[2] for name in log.missed} == UNREACHED.get(family, set())
    assert initlab.audit(drawn, built).differences == ()
    for (name, mine), theirs in zip(drawn.named_parameters(), built.parameters(), strict=True):
        one, other = values_of(mine), values_of(theirs)
        if one.size and (one == one[0]).all():
            assert (other == one[0]).all(), name
        elif one.size >= 16:
            assert stats.ks_2samp(one, other).pvalue > CHANCE, name
    torch.rand(100)
    initlab.reinit_(again, seed=3)
    unreached = UNREACHED.get(family, set())
    for (name, one), other in zip(drawn.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other) or name.rpartition(".")[2] in unreached, name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_is_found_in_a_family_as_built(family: str, seed: int) -> None:
    torch.manual_seed(seed)
    assert initlab.audit(FAMILIES[family]()).findings == ()
