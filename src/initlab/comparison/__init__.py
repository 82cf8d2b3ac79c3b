"""WHICH WINS: arms trained side by side, raced, and judged by paired statistics."""

import initlab.comparison.view  # noqa: F401  # registers how a Comparison shows itself
from initlab.comparison.api import compare
from initlab.comparison.result import Comparison, StudyInterrupted
from initlab.training.settings import Statistics, Study, Training

__all__ = ["Comparison", "Statistics", "Study", "StudyInterrupted", "Training", "compare"]
