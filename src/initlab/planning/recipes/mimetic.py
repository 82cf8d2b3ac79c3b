"""`mimetic`: attention whose products look like those of trained vision transformers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from initlab.planning.choice import Options
from initlab.planning.parameters.attended import Attention, attentions
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.policy import Need, Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Normal, as_scheme
from initlab.sampling.laws import Stacked
from initlab.sampling.whole import leading_size
from initlab.sampling.whole_laws import Factor
from initlab.schemes import Scheme, get_scheme

_size = lru_cache(maxsize=32)(leading_size)


def _of(subject: Subject) -> Attention:
    return next(
        one for one in attentions(subject.scene) if subject.name in (*one.query, *one.key, *one.value, *one.out)
    )


def _scores(one: Attention, side: str, options: Options, width: int, rows: int) -> Factor:
    alpha, beta = options["alpha_scores"], options["beta_scores"]
    size = _size(alpha, beta, width, rows // one.heads)
    return Factor(f"{one.query[0]}·{one.key[0]}", side, alpha, beta, one.heads, size)


def _values(one: Attention, side: str, options: Options, width: int) -> Factor:
    alpha, beta = options["alpha_values"], -options["beta_values"]
    return Factor(f"{one.value[0]}·{one.out[0]}", side, alpha, beta, 1, _size(alpha, beta, width, width))


def _like_identity(subject: Subject, options: Options) -> Scheme:
    """Queries and keys: in every head W_Q W_Kᵀ = α Z + β I, to its own rank."""
    one = _of(subject)
    law = _scores(one, "left" if subject.name in one.query else "right", options, *reversed(subject.shape))
    return as_scheme("mimetic", law, "W_Q W_Kᵀ = alpha Z + beta I in every head, Z ~ N(0, 1/width)")


def _like_minus_identity(subject: Subject, options: Options) -> Scheme:
    """Values and projections: W_V W_proj = α Z − β I."""
    one = _of(subject)
    law = _values(one, "left" if subject.name in one.value else "back", options, subject.shape[1])
    return as_scheme("mimetic", law, "W_V W_proj = alpha Z − beta I, Z ~ N(0, 1/width)")


def _packed(subject: Subject, options: Options) -> Scheme:
    """The three as blocks of one weight, in the order of its rows."""
    one, width = _of(subject), subject.shape[1]
    laws = {
        "query": _scores(one, "left", options, width, width),
        "key": _scores(one, "right", options, width, width),
        "value": _values(one, "left", options, width),
    }
    law = Stacked(0, (width,) * 3, tuple(laws[letter] for letter in one.packed), one.packed)
    return as_scheme(
        "mimetic", law, "blocks of W_Q W_Kᵀ = alpha Z + beta I in every head, W_V W_proj = alpha Z − beta I"
    )


def _square(scene: Scene, subjects: Sequence[Subject]) -> bool:
    """Every attention has square maps to queries, keys, values and of its output, its own, and as many heads of all."""
    shapes = {subject.name: subject.shape for subject in subjects}
    found = attentions(scene)
    weights = [(one.query, one.out) if one.packed else (one.query, one.key, one.value, one.out) for one in found]
    names = [name for parts in weights for part in parts for name in part]
    apart = all(len(part) == 1 for parts in weights for part in parts) and len(set(names)) == len(names)
    packed = {name for one in found if one.packed for name in one.query}
    square = all(_is_square(shapes.get(name, ()), 3 if name in packed else 1) for name in names)
    return bool(found) and apart and square and all(one.heads == one.key_heads for one in found)


def _is_square(shape: tuple[int, ...], blocks: int) -> bool:
    return len(shape) == 2 and shape[0] == blocks * shape[1]


RECIPE = Policy(
    name="mimetic",
    about="W_Q W_Kᵀ = 0.7 Z + 0.7 I in every head, W_V W_proj = 0.4 Z − 0.4 I; the rest as vit_timm",
    source="Trockman & Kolter, Mimetic initialization of self-attention layers (2023), sections 4 and 5",
    code=(
        "osiriszjq/structured_init pytorch-image-models/timm/models/vision_transformer.py, init_weights (48b59c3), a "
        "third party's; no code of the authors was found"
    ),
    year=2023,
    laws=(
        RoleLaw("query", _like_identity, "W_Q W_Kᵀ = alpha_scores Z + beta_scores I, by singular values"),
        RoleLaw("key", _like_identity, "the other factor"),
        RoleLaw("value", _like_minus_identity, "W_V W_proj = alpha_values Z − beta_values I"),
        RoleLaw("packed_attention", _packed, "the three as blocks of one weight"),
        RoleLaw("attention_out", _like_minus_identity, "the other factor"),
        RoleLaw("first", get_scheme("torch_default")),
        RoleLaw("conv_bias", get_scheme("torch_default"), "U(±1/√fan_in): the patch projection's, as torch draws it"),
        RoleLaw("weight", Normal("std"), "N(0, std²)"),
        RoleLaw("position", Normal("std"), "N(0, std²)"),
        RoleLaw("token", get_scheme("normal", std=1e-6)),
    ),
    numbers={"std": 0.02, "alpha_scores": 0.7, "beta_scores": 0.7, "alpha_values": 0.4, "beta_values": 0.4},
    needs=(
        has("query", "packed_attention", words="attention"),
        Need("square maps to queries, keys, values and of the output, of as many heads, none shared", _square),
    ),
    training=Training("adamw", 1e-3, (0.9, 0.999), 1e-8, 0.05, "cosine", "CIFAR-10: 100 epochs; batch 512"),
    right="Vision transformers on little data, with positions by sines whose size is that of the patches.",
    wrong="Language models as they are here: their signs are the other way round.",
    leaves="Positions, by sines there; the maps' biases (zero).",
)
