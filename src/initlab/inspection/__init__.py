"""WHAT HAPPENS: one forward and one backward pass -> layer statistics -> findings -> verdict."""

import initlab.inspection.view  # noqa: F401  # registers how an inspection shows itself
from initlab.inspection.api import inspect
from initlab.inspection.fix import Fix
from initlab.inspection.remedy import standardized
from initlab.inspection.results import Finding, Inspection, LayerStats, LearningRate, ParameterStats

__all__ = ["Finding", "Fix", "Inspection", "LayerStats", "LearningRate", "ParameterStats", "inspect", "standardized"]
