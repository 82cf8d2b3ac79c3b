"""Kernels of other frameworks are torch's weights turned: the same numbers, whole or in blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import initlab
from initlab.integrations.layout import Layout, draw
from initlab.integrations.names import renamed
from initlab.integrations.weights import by_convention
from initlab.schemes import get_scheme

LAYOUTS = {
    "dense": (Layout.kernel((7, 5)), (5, 7)),
    "convolution": (Layout.kernel((3, 2, 4, 6)), (6, 4, 3, 2)),
    "transposed, run backwards": (Layout((3, 2, 4, 6), (2, 3, 0, 1), (4, 6, 3, 2), (2, 3)), (4, 6, 3, 2)),
    "depthwise": (Layout.depthwise((3, 3, 4, 2)), (8, 1, 3, 3)),
    "heads": (Layout.product((8, 2, 3), [0], [1, 2]), (6, 8)),
    "one matrix an expert": (Layout.product((5, 8, 3), [1], [2], [0]), (15, 8)),
    "a GRU's gates": (Layout.kernel((4, 6), (1, 0, 2)), (6, 4)),
    "as torch": (Layout.same((5,)), (5,)),
    "one number": (Layout.same(()), ()),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_a_layout_undoes_itself_in_numpy_and_torch(case: str) -> None:
    layout, shape = LAYOUTS[case]
    stored = np.arange(np.prod(layout.stored), dtype=np.float32).reshape(layout.stored)
    turned = layout.to_torch(stored)
    assert turned.shape == layout.shape == shape
    assert np.array_equal(layout.from_torch(turned), stored)
    assert torch.equal(layout.from_torch(layout.to_torch(torch.from_numpy(stored))), torch.from_numpy(stored))


@pytest.mark.parametrize("case", LAYOUTS)
@pytest.mark.parametrize("scheme", ["normal", "orthogonal"])
def test_a_block_is_what_the_whole_has_there(case: str, scheme: str) -> None:
    layout, _ = LAYOUTS[case]
    if scheme == "orthogonal" and len(layout.shape) < 2:
        pytest.skip("an orthogonal law needs two axes")
    law = get_scheme(scheme).law(initlab.Geometry.bare(layout.shape))
    whole = draw(law, layout, seed=3, name="fc.weight")
    cut = tuple(
        slice(0 if place else 1, size - place if size > 1 else size) for place, size in enumerate(layout.stored)
    )
    assert np.array_equal(draw(law, layout, seed=3, name="fc.weight", cut=cut), whole[cut])


def test_the_gates_of_a_gru_change_places() -> None:
    stored = np.repeat(np.array([[10.0, 20.0, 30.0]]), 2, 1)  # update, reset, new
    assert Layout.kernel((1, 6), (1, 0, 2)).to_torch(stored)[:, 0].tolist() == [20, 20, 10, 10, 30, 30]


@pytest.mark.parametrize(
    ("path", "map_names", "name"),
    [
        ("dense/kernel", None, "dense.weight"),
        ("dense/kernel", {"dense/kernel": "fc.weight"}, "fc.weight"),
        ("block/dense/kernel", {"block/": "layers.0"}, "layers.0.dense.weight"),
        ("block/dense/kernel", lambda path: path.replace("/", "."), "block.dense.kernel"),
    ],
)
def test_paths_become_names(path: str, map_names: object, name: str) -> None:
    assert renamed(tuple(path.split("/")), "weight", map_names) == name  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [{"dense/kernel": 3}, lambda path: "", {"dense/kernel": ".w"}, "fc"])
def test_names_that_are_none_are_refused(bad: object) -> None:
    with pytest.raises(initlab.InputError, match="map_names must"):
        renamed(("dense", "kernel"), "weight", bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "shape", "role", "turned"),
    [
        ("kernel", (4, 6), "weight", (6, 4)),
        ("bias", (6,), "bias", (6,)),
        ("bias", (2, 3), "bias", (6,)),
        ("scale", (6,), "norm_weight", (6,)),
        ("embedding", (9, 4), "embedding", (9, 4)),
        ("pos", (9, 4), "other", (9, 4)),
    ],
)
def test_words_of_frameworks(name: str, shape: tuple[int, ...], role: str, turned: tuple[int, ...]) -> None:
    weight = by_convention(name, shape)
    assert (weight.part.role, weight.layout.shape) == (role, turned)
