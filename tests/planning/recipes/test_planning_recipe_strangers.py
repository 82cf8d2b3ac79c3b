"""Recipes on models of other make: the same structures written otherwise; a new recipe; what is misspelt."""

from __future__ import annotations

import importlib
import itertools
import math
import textwrap
from pathlib import Path

import pytest
import torch
from recipe_zoo import IDS, IMAGES, Transformer
from recipe_zoo_2 import Memory
from torch import nn
from torch.nn import functional as F
from typer.testing import CliRunner

import initlab
from initlab.cli import app
from initlab.errors import InputError
from initlab.planning import get_policy, list_policies, recipes


class Widening(nn.Module):
    """Residual blocks of which every other one widens, with a projection beside it."""

    def __init__(self, norms: bool) -> None:
        super().__init__()
        widths = (3, 8, 8, 12, 12)
        pairs = list(itertools.pairwise(widths))
        self.one = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.two = nn.ModuleList(nn.Conv2d(b, b, 3, padding=1) for _, b in pairs)
        self.beside = nn.ModuleList(nn.Identity() if a == b else nn.Conv2d(a, b, 1) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) if norms else nn.Identity() for _, b in pairs)
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for one, two, beside, norm in zip(self.one, self.two, self.beside, self.norms, strict=True):
            x = torch.relu(beside(x) + norm(two(torch.relu(one(x)))))
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("recipe", ["zero_gamma", "resnet"])
def test_the_last_norm_is_zero_in_blocks_that_widen_too(recipe: str) -> None:
    """Goyal et al. 2017, section 5.1: of the last norm of every residual block."""
    model = Widening(True)
    initlab.init_(model, recipe, example_inputs=IMAGES)
    assert [norm.weight.abs().max().item() for norm in model.norms] == [0.0] * 4


def test_fixup_closes_blocks_that_widen_and_counts_them() -> None:
    """Zhang et al. 2019: L counts all blocks; m = 2 weights a block, so that the first is scaled by L^(−1/2)."""
    model = Widening(False)
    plan = initlab.init_(model, "fixup", example_inputs=IMAGES)
    assert not any(weight.weight.any() for weight in model.two)
    assert plan["one.2.weight"].std == pytest.approx(math.sqrt(2 / (8 * 9)) * 4**-0.5)
    assert plan["beside.2.weight"].std == pytest.approx(math.sqrt(2 / 8))


class Divided(Memory):
    """Divides what ends its branches before it is used, as transformers' RWKV does; the gate stands first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norms[0](x)
        made = F.linear(torch.sigmoid(self.gate(h)) * torch.exp(self.key(h)) * self.value(h), self.out.weight / 2)
        x = x + made
        h = self.norms[1](x)
        return x + torch.sigmoid(self.second_gate(h)) * self.down(torch.relu(self.up(h)) ** 2)


def test_rwkv_closes_branches_whose_last_weight_is_divided() -> None:
    model = Transformer()
    model.blocks = nn.ModuleList(Divided() for _ in range(2))
    plan = initlab.init_(model, "rwkv", example_inputs=IDS)
    assert not model.blocks[1].out.weight.any()
    assert "the last weight of a residual branch" in plan["blocks.1.down.weight"].reason  # it is gated, and no gate
    assert "a gate" in plan["blocks.1.second_gate.weight"].reason


class Patches(nn.Module):
    """Packed attention over patches, the read-out turned back into an image by an einsum, as DiT and MAE have them."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, 16, 4, stride=4), nn.Parameter(torch.zeros(1, 1, 16))
        self.qkv, self.out, self.norm = nn.Linear(16, 48), nn.Linear(16, 16), nn.LayerNorm(16, elementwise_affine=False)
        self.ada, self.head = nn.Linear(16, 32), nn.Linear(16, 4 * 4 * 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        scale, shift = self.ada(F.silu(x.mean(1, keepdim=True))).chunk(2, -1)
        q, k, v = self.qkv(self.norm(x) * (1 + scale) + shift).view(*x.shape[:2], 3, 2, 8).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape))
        side = round((x.shape[1] - 1) ** 0.5)
        tiles = self.head(x[:, 1:]).view(-1, side, side, 4, 4, 3)
        return torch.einsum("nhwpqc->nchpwq", tiles).reshape(len(x), 3, 4 * side, 4 * side)


@pytest.mark.parametrize("recipe", ["mae", "dit"])
def test_packed_queries_keys_and_values_are_drawn_whole_as_the_code_does(recipe: str) -> None:
    """xavier_uniform_ of the packed matrix of 48 rows and 16 columns; torch's own draw for the patch's bias of MAE."""
    plan = initlab.init_(model := Patches(), recipe, example_inputs=IMAGES)
    assert plan["qkv.weight"].std == pytest.approx(math.sqrt(2 / (48 + 16)))
    assert plan["out.weight"].std == pytest.approx(math.sqrt(2 / (16 + 16)))
    assert plan["patch.bias"].std == pytest.approx((3 * 48) ** -0.5 if recipe == "mae" else 0.0)
    assert bool(model.head.weight.any()) == (recipe == "mae")  # the einsum that only permutes is no end of the way


FILE = '''
"""`halved`: a recipe of one file."""

from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="halved",
    about="weights of std 1/2",
    source="a test",
    year=2026,
    laws=(RoleLaw("head", get_scheme("zeros")), RoleLaw("weight", get_scheme("normal", std=0.5))),
    needs=(has("head"),),
    training=Training("sgd", 0.1, weight_decay=0.0, schedule="constant"),
    aliases=("half",),
    right="Never.",
    wrong="Always.",
    leaves="Biases.",
)
'''


def test_a_recipe_is_one_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the folder and its name in `NAMES`: policy, plan, command line, `compare` and refusal know it."""
    (tmp_path / "halved.py").write_text(textwrap.dedent(FILE), encoding="utf-8")
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])
    monkeypatch.setattr(recipes, "NAMES", (*recipes.NAMES, "halved"))
    importlib.invalidate_caches()
    assert list_policies()[-1] == "halved"
    assert get_policy("half").name == "halved"
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    plan = initlab.init_(model, "halved", example_inputs=torch.randn(3, 4))
    assert (plan["0.weight"].std, bool(model[2].weight.any())) == (0.5, False)
    shown = CliRunner().invoke(app, ["recipes", "halved"])
    assert shown.exit_code == 0
    assert "weights of std 1/2" in shown.output
    data = torch.randn(16, 4), torch.arange(16) % 2
    result = initlab.compare(
        lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), data, data, ["halved"], seeds=1, steps=2
    )  # fmt: skip
    assert result.arms == ("halved",)
    with pytest.raises(InputError, match="policy 'halved' needs a read-out"):
        initlab.plan(nn.LayerNorm(4), torch.randn(3, 4), "halved")


def test_every_file_of_the_folder_is_listed() -> None:
    files = {path.stem for path in Path(recipes.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == set(recipes.NAMES)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("muP", "'mup'"), ("Llama", "'llama'"), ("lama", "'llama'"), ("ViT_timm", "'vit_timm'"), ("gpt-3", "'gpt3'"),
     ("deep_norm", "'deepnorm'"), ("t-fixup", "'t_fixup'"), ("zerogamma", "'zero_gamma'"),
     ("CompleteP", "'completep'"), ("u_mpu", "'u_mup'"), ("DCGAN", "'dcgan' or 'gan'")],
)  # fmt: skip
def test_a_name_that_is_misspelt(written: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"unknown policy or scheme {written!r}; did you mean {meant}"):
        initlab.plan(nn.Linear(2, 2), policy=written)
