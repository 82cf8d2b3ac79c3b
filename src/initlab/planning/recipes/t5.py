"""`t5`: std by fan, queries over √head size too, since scores are not divided."""

from __future__ import annotations

from initlab.errors import InputError
from initlab.planning.choice import Options
from initlab.planning.parameters.attended import attended, head_size
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.schemes import Scheme, get_scheme


def _query(subject: Subject, options: Options) -> Scheme:
    geometry, size = subject.geometry, head_size(subject.scene, subject.name)
    if geometry is None or not size:
        raise InputError(f"{subject.name!r}: the size of its heads is not known; pass example_inputs")
    return get_scheme("normal", std=(geometry.fan_in * size) ** -0.5)


def _scores(subject: Subject, options: Options) -> Scheme:
    found = attended(subject.scene)
    widths = [s.geometry.fan_in for s in subject.scene.subjects() if s.geometry and "query" in found.get(s.name, ())]
    return get_scheme("normal", std=widths[0] ** -0.5 if widths else 1.0)


RECIPE = Policy(
    name="t5",
    about="1/√fan_in; queries 1/√(width · head size), for scores that are not divided by √(head size); tables N(0, 1)",
    source="Raffel et al., T5 (2020); mesh_tensorflow/transformer: attention and dense initializers",
    year=2020,
    laws=(
        RoleLaw("query", _query, "N(0, 1/(width · head size))"),
        RoleLaw("head", get_scheme("normal", std=1.0), "N(0, 1), where it is not the table itself"),
        RoleLaw("weight", get_scheme("lecun_normal"), "N(0, 1/fan_in)"),
        RoleLaw("score_table", _scores, "N(0, 1/width)"),
        RoleLaw("embedding", get_scheme("normal", std=1.0), "N(0, 1)"),
    ),
    needs=(has("query", words="attention with queries of their own"),),
    training=Training("adafactor", 0.01, schedule="1/√max(step, 10,000)"),
    right="Encoder-decoders whose scores are not divided by √(head size).",
    wrong="Attention that divides them: the scores then start √(head size) too small.",
    leaves="The read-out of version 1.1, which is no table: N(0, 1) here.",
)
