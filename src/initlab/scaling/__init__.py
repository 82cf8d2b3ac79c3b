"""WHAT HOLDS AT ANY WIDTH: groups of rates that follow the fans, and checks that features and best rates stay put."""

from initlab.scaling.groups import param_groups
from initlab.scaling.rules import RULES

__all__ = ["RULES", "param_groups"]
