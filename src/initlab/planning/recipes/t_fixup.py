"""`t_fixup`: transformers without norms and warm-up."""

from __future__ import annotations

from collections.abc import Sequence

from initlab.planning.choice import Options
from initlab.planning.parameters import residual
from initlab.planning.parameters.roles import ROLES
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.policy import Need, Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import no_norms
from initlab.schemes import Scheme, get_scheme


def _factor(scene: Scene) -> float:
    """0.67 · N^(−1/4), N layers of two branches."""
    layers = max(1.0, residual.projections(scene).count / 2)
    return float(0.67 * layers**-0.25)


def _small(subject: Subject, options: Options) -> Scheme:
    return get_scheme("xavier_normal", gain=_factor(subject.scene))


def _apart(scene: Scene, subjects: Sequence[Subject]) -> bool:
    return not any(ROLES["packed_attention"].holds(subject) for subject in subjects)


def _table(subject: Subject, options: Options) -> Scheme:
    """N(0, 1/width) times (9N)^(−1/4), whatever the side."""
    layers = max(1.0, residual.projections(subject.scene).count / 2)
    return get_scheme("normal", std=(9 * layers) ** -0.25 * subject.shape[-1] ** -0.5)


RECIPE = Policy(
    name="t_fixup",
    about="Xavier; values, ends of branches and MLPs times 0.67 · N^(−1/4); tables N(0, 1/width) times (9N)^(−1/4)",
    source=(
        "Huang et al., Improving transformer optimization through better initialization (2020), section 3; "
        "layer6ai-labs/T-Fixup fairseq/modules/transformer_layer.py and models/transformer.py (b17e166)"
    ),
    code="layer6ai-labs/T-Fixup fairseq (b17e166)",
    year=2020,
    laws=(
        RoleLaw("query", get_scheme("xavier_normal")),
        RoleLaw("key", get_scheme("xavier_normal")),
        RoleLaw("in_branch", _small, "Xavier normal · 0.67 · N^(−1/4)"),
        RoleLaw("weight", get_scheme("xavier_normal")),
        RoleLaw("embedding", _table, "N(0, (9N)^(−1/2)/width)"),
    ),
    needs=(
        has("query", words="attention with queries of their own"),
        has("branch_end", words="residual branches that end in a weight"),
        Need("a model without norms", no_norms, recorded=False),
        Need("queries, keys and values in weights of their own", _apart),
    ),
    training=Training("adam", 5e-4, (0.9, 0.98), 1e-8, 1e-4, "constant, then 1/√step", "no warm-up"),
    right="Encoders alone, without norms and without warm-up.",
    wrong="With norms, which undo the factor.",
    leaves="Decoders, whose factor is (9N)^(−1/4) with encoder attention.",
)
