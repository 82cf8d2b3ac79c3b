"""`lstm`: recurrent networks with gates whose units remember from one step to the longest dependency."""

from __future__ import annotations

from initlab.planning.choice import Options
from initlab.planning.parameters.names import INPUT_BIAS
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import as_scheme
from initlab.sampling.laws import Constant, Stacked
from initlab.sampling.whole_laws import Curved, Opposed
from initlab.schemes import Scheme, get_scheme


def _chrono(subject: Subject, options: Options) -> Scheme:
    """What torch adds twice is carried by the first bias; units forget after T steps, T ~ U(1, longest − 1)."""
    packing = None if subject.geometry is None else subject.geometry.packing
    labels = () if packing is None else packing.labels
    if packing is None or not labels or not subject.leaf.startswith(INPUT_BIAS):
        return get_scheme("zeros")
    times = Curved("log", 1.0, options["longest"] - 1)
    if "forget" in labels:
        both = Opposed(len(labels), labels.index("forget"), labels.index("input"), times)
        return as_scheme("chrono", both, "b_f = log U(1, longest − 1), b_i = −b_f, 0 for the other gates")
    laws = tuple(times if label == "update" else Constant(0.0) for label in labels)
    law = Stacked(packing.axis, packing.sizes, laws, labels)
    return as_scheme("chrono", law, "b_z = log U(1, longest − 1), 0 for the other gates")


RECIPE = Policy(
    name="lstm",
    about="biases by chrono: forget log U(1, T − 1), input the negative; weights U(±1/√hidden) as torch draws them",
    source="Tallec & Ollivier, Can recurrent neural networks warp time? (2018), section 3, equation 16",
    code=(
        "0h-n0/chrono_initialization chrono_initialization/chrono_initialization.py (16c26e6), a third party's: "
        "forget log U(1, Tmax − 1), input its negative, other biases 0"
    ),
    year=2018,
    laws=(
        RoleLaw("recurrent_bias", _chrono, "b_f = log U(1, longest − 1), b_i = −b_f (GRU: the update gate's alone)"),
        RoleLaw("weight", get_scheme("torch_default")),
    ),
    numbers={"longest": 100.0},
    needs=(has("gated_bias", words="a recurrent layer with gates (LSTM, GRU)"),),
    training=Training("rmsprop", 1e-3, (0.9,), more="the paper's synthetic tasks; batch 50"),
    aliases=("chrono", "gru"),
    right="LSTM and GRU over sequences whose dependencies span up to `longest` steps: set it to what is known of them.",
    wrong="Short sequences with a large `longest`: what goes in at a step hardly enters, for the input gates are shut.",
    leaves="The weights, which the paper leaves to the library, and the range, 100 here.",
)
