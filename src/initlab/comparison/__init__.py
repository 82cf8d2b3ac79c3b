"""WHICH WINS: many runs trained side by side, studies that survive, statistics."""

from initlab.comparison.api import compare
from initlab.comparison.result import Comparison, StudyInterrupted

__all__ = ["Comparison", "StudyInterrupted", "compare"]
