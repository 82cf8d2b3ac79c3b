"""A plan for a twin, and what must hold before any of it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from initlab.errors import InputError
from initlab.integrations.twin import Twin
from initlab.planning import Plan
from initlab.planning.parameters.walk import walk
from initlab.planning.planner import make_plan
from initlab.planning.writer import keep_also
from initlab.planning.writing.ledger import check_account, check_kept

Keep = str | Sequence[str]  # selectors of what is left as it is


def plan_twin(twin: Twin, policy: Any, example_inputs: Any, keep: Keep = ()) -> Plan:
    """The law of every parameter of a twin; a `Plan` given as the policy is taken as it is."""
    found = walk(twin)
    made = policy if isinstance(policy, Plan) else make_plan(twin, found, example_inputs, policy)
    return keep_also(made, found, keep)[0]


def checked(plan: Plan, twin: Twin) -> Plan:
    """The plan, if all of it can be written.

    Raises:
        InputError: a parameter that is refused, is missing, or is kept though it holds nan or inf.
    """
    found = walk(twin)
    check_account(plan, found)
    refused = next((entry for entry in plan.entries if entry.action == "refuse"), None)
    if refused is not None:
        raise InputError(f"{refused.name!r}: {refused.reason}")
    kept = {entry.name for entry in plan.entries if entry.action == "keep" and not entry.asked}
    check_kept(slot for slot in found.parameters if slot.name in kept)
    return plan
