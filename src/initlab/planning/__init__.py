"""WHICH LAW, AND WHY: selectors and policies make a Plan; a Plan is written into a model."""

import initlab.planning.audit.view
import initlab.planning.named_streams.view
import initlab.planning.view  # noqa: F401  # registers how a Plan shows itself
from initlab.planning.audit.api import audit
from initlab.planning.audit.results import Audit
from initlab.planning.named_streams.api import streams
from initlab.planning.named_streams.log import StreamLog
from initlab.planning.named_streams.reinit import reinit_
from initlab.planning.plan import BufferEntry, Plan, PlanEntry
from initlab.planning.planner import plan
from initlab.planning.policies import get_policy, list_policies
from initlab.planning.policy import Policy
from initlab.planning.reason import Reason
from initlab.planning.writer import init_

__all__ = [
    "Audit",
    "BufferEntry",
    "Plan",
    "PlanEntry",
    "Policy",
    "Reason",
    "StreamLog",
    "audit",
    "get_policy",
    "init_",
    "list_policies",
    "plan",
    "reinit_",
    "streams",
]
