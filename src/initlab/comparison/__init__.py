"""WHICH WINS: arms trained side by side, raced, and judged by paired statistics."""

from initlab.comparison.api import compare
from initlab.comparison.result import Comparison, StudyInterrupted

__all__ = ["Comparison", "StudyInterrupted", "compare"]
