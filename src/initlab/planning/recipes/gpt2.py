"""`gpt2`: N(0, 0.02²), what ends a residual branch smaller by √(number of branches)."""

from __future__ import annotations

from initlab.planning.defaults.by_role import other
from initlab.planning.parameters import residual
from initlab.planning.parameters.scene import Scene
from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import Normal, OverBranches


def _notes(scene: Scene) -> tuple[str, ...]:
    if residual.projections(scene).count:
        return ()
    return ("gpt2: no projection that ends a residual branch was found, so none is scaled down; pass example_inputs",)


RECIPE = Policy(
    name="gpt2",
    about="N(0, 0.02²); projections that end a residual branch scaled by 1/√(number of branches)",
    source="Radford et al., Language models are unsupervised multitask learners (2019), section 2.3",
    year=2019,
    laws=(
        RoleLaw("branch_end", OverBranches("std"), "N(0, (std/√branches)²)"),
        RoleLaw("weight", Normal("std"), "N(0, std²)"),
        RoleLaw("embedding", Normal("std"), "N(0, std²)"),
        RoleLaw("other", other, "as elsewhere: positions N(0, 0.02²)"),
    ),
    numbers={"std": 0.02},
    training=Training(
        "adamw", 6e-4, (0.9, 0.95), 1e-8, 0.1, "2,000 steps of warm-up, cosine to a tenth", "as nanoGPT repeats it"
    ),
    aliases=("gpt-2",),
    right="Transformers with norms, of widths near 1,000: 0.02 is near 1/√(2.5 · 1,024).",
    wrong="Widths far from that: one std for all of them is small for narrow models and large for wide ones.",
    leaves="Biases (zero) and norms (one), which the paper does not state; the rate.",
    notes=_notes,
)
