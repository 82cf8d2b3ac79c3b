"""`deepnorm`: post-norm transformers of a thousand layers."""

from __future__ import annotations

from collections.abc import Sequence

from initlab.planning.choice import Options
from initlab.planning.parameters import residual
from initlab.planning.parameters.roles import ROLES
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.policy import Need, Policy, RoleLaw, Training, has
from initlab.schemes import Scheme, get_scheme


def _factor(scene: Scene) -> float:
    """β = (8N)^(−1/4), N layers of two branches."""
    layers = max(1.0, residual.projections(scene).count / 2)
    return float((8 * layers) ** -0.25)


def _small(subject: Subject, options: Options) -> Scheme:
    return get_scheme("xavier_normal", gain=_factor(subject.scene))


def _apart(scene: Scene, subjects: Sequence[Subject]) -> bool:
    return not any(ROLES["packed_attention"].holds(subject) for subject in subjects)


RECIPE = Policy(
    name="deepnorm",
    about="Xavier normal; values, ends of branches and MLPs times β = (8N)^(−1/4) for N layers",
    source="Wang et al., DeepNet: scaling transformers to 1,000 layers (2022), figure 2",
    code=(
        "microsoft/torchscale torchscale/architecture/encoder.py, Encoder.__init__ (0cb9695): fc1, fc2, out_proj "
        "and v_proj over (8 · layers)^(1/4), the stream times (2 · layers)^(1/4)"
    ),
    year=2022,
    laws=(
        RoleLaw("query", get_scheme("xavier_normal")),
        RoleLaw("key", get_scheme("xavier_normal")),
        RoleLaw("in_branch", _small, "Xavier normal · (8N)^(−1/4)"),
        RoleLaw("weight", get_scheme("xavier_normal")),
    ),
    needs=(
        has("query", words="attention with queries of their own"),
        has("branch_end", words="residual branches that end in a weight"),
        has("norm_weight"),
        Need("queries, keys and values in weights of their own", _apart),
    ),
    training=Training("adam", 5e-4, (0.9, 0.98), 1e-8, 0.0, "4,000 steps of warm-up, then 1/√step"),
    right="Encoders or decoders alone, with norms after the branches and the stream times (2N)^(1/4) before the sum.",
    wrong="Without the factor α in the forward pass the branches are only small.",
    leaves=(
        "The factor α = (2N)^(1/4), the model's own code; encoder-decoders have other constants (figure 2). The "
        "authors' library draws uniforms, q, k and v over √2 more; the paper's figure does not."
    ),
)
