"""A plan for a twin, and the plan's shapes as the framework's user knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from initlab.integrations.twin import Twin
from initlab.planning import Plan
from initlab.planning.planner import make_plan
from initlab.planning.walk import walk
from initlab.planning.writer import keep_also


def plan_twin(twin: Twin, policy: Any, example_inputs: Any, keep: str | Sequence[str] = ()) -> Plan:
    """The law of every parameter of a twin; a `Plan` given as the policy is taken as it is."""
    found = walk(twin)
    made = policy if isinstance(policy, Plan) else make_plan(twin, found, example_inputs, policy)
    return keep_also(made, found, keep)[0]
