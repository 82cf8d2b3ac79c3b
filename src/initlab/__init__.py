"""initlab gets a neural network right before its first training step: plan, init_, inspect, fit, compare, reproduce."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from initlab import comparison, data, experiments, fitting, integrations, theory
    from initlab import fitting as fit
    from initlab.comparison import Comparison, compare
    from initlab.errors import InitlabError, InputError, InterruptedInitError, UntrainableError
    from initlab.inspection import Finding, Inspection, LayerStats, inspect
    from initlab.planning import Plan, PlanEntry, init_, plan
    from initlab.schemes import Fans, Geometry, Scheme, get_scheme, list_schemes
    from initlab.searching import Search, search

__version__ = "0.1.0"

# Public name -> (module, attribute or None for the module itself). Loaded on first use: `import initlab` stays light.
_PUBLIC: dict[str, tuple[str, str | None]] = {
    "plan": ("planning", "plan"),
    "init_": ("planning", "init_"),
    "Plan": ("planning", "Plan"),
    "PlanEntry": ("planning", "PlanEntry"),
    "get_scheme": ("schemes", "get_scheme"),
    "list_schemes": ("schemes", "list_schemes"),
    "Scheme": ("schemes", "Scheme"),
    "Fans": ("schemes", "Fans"),
    "Geometry": ("schemes", "Geometry"),
    "inspect": ("inspection", "inspect"),
    "Inspection": ("inspection", "Inspection"),
    "Finding": ("inspection", "Finding"),
    "LayerStats": ("inspection", "LayerStats"),
    "compare": ("comparison", "compare"),
    "Comparison": ("comparison", "Comparison"),
    "search": ("searching", "search"),
    "Search": ("searching", "Search"),
    "fit": ("fitting", None),
    "fitting": ("fitting", None),
    "theory": ("theory", None),
    "data": ("data", None),
    "comparison": ("comparison", None),
    "experiments": ("experiments", None),
    "integrations": ("integrations", None),
    "InitlabError": ("errors", "InitlabError"),
    "InputError": ("errors", "InputError"),
    "InterruptedInitError": ("errors", "InterruptedInitError"),
    "UntrainableError": ("errors", "UntrainableError"),
}

__all__ = [
    "Comparison",
    "Fans",
    "Finding",
    "Geometry",
    "InitlabError",
    "InputError",
    "Inspection",
    "InterruptedInitError",
    "LayerStats",
    "Plan",
    "PlanEntry",
    "Scheme",
    "Search",
    "UntrainableError",
    "compare",
    "comparison",
    "data",
    "experiments",
    "fit",
    "fitting",
    "get_scheme",
    "init_",
    "inspect",
    "integrations",
    "list_schemes",
    "plan",
    "search",
    "theory",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'initlab' has no attribute {name!r}")
    room, attribute = _PUBLIC[name]
    module = importlib.import_module(f"initlab.{room}")
    value = module if attribute is None else getattr(module, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
