"""`zero_gamma`: residual networks whose branches begin at zero through their last norm."""

from __future__ import annotations

from initlab.planning.defaults.weights import fed_weight
from initlab.planning.parameters import residual
from initlab.planning.parameters.scene import Scene
from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.schemes import get_scheme


def _notes(scene: Scene) -> tuple[str, ...]:
    if residual.last_norms(scene):
        return ()
    why = "pass example_inputs, so that residual branches can be seen" if scene.graph is None else "the model has none"
    return (f"zero_gamma: no residual branch that ends in a norm was found; {why}",)


RECIPE = Policy(
    name="zero_gamma",
    about="as auto, and the last norm weight of each residual branch zero",
    source="Goyal et al., Accurate, large minibatch SGD (2017), section 5.1",
    code=(
        "facebookresearch/pycls pycls/models/blocks.py, init_weights (1a33062): a branch's last norm 0, other "
        "norms 1, kernels N(0, 2/(out · kernel)), the read-out N(0, 0.01²)"
    ),
    year=2017,
    laws=(
        RoleLaw("branch_end_norm", get_scheme("zeros"), "0: the branch starts as the identity"),
        RoleLaw("weight", fed_weight, "Var(W) = gain² / fan_in, the gain being that of what feeds the layer"),
    ),
    training=Training(
        "sgd", 0.1, (0.9,), None, 1e-4, "5 epochs of warm-up, ÷10 at 30, 60 and 80", "rate 0.1 · batch / 256"
    ),
    right="Residual networks with norms at large batches and rates.",
    wrong="Branches that do not end in a norm: nothing there is zero.",
    leaves="What the weights get (the paper: He's, and N(0, 0.01²) for the read-out), which is auto's here.",
    notes=_notes,
)
