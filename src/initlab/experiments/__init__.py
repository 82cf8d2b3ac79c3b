"""THE LITERATURE: one file per published experiment, each with the claims it tests."""

import initlab.experiments.demo_view  # registers how a Demo shows itself
import initlab.experiments.view  # noqa: F401  # registers how an Outcome shows itself
from initlab.experiments.claims import Claim, Judgement
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment, get_experiment, list_experiments
from initlab.experiments.runner import Outcome, run, run_all

__all__ = ["Claim", "Experiment", "Judgement", "Lab", "Outcome", "get_experiment", "list_experiments", "run", "run_all"]
