"""WHAT HOLDS AT ANY WIDTH: groups of rates that follow the fans, and checks that features and best rates stay put."""

import initlab.scaling.view  # noqa: F401  # registers how the checks show themselves
from initlab.scaling.coordinates import CoordinateCheck, LayerChange, coordinate_check
from initlab.scaling.groups import param_groups
from initlab.scaling.rules import RULES
from initlab.scaling.transfer import TransferCheck, transfer_check

__all__ = [
    "RULES",
    "CoordinateCheck",
    "LayerChange",
    "TransferCheck",
    "coordinate_check",
    "param_groups",
    "transfer_check",
]
