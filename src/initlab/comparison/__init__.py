"""WHICH WINS: many runs trained side by side, studies that survive, statistics."""

from initlab.comparison.api import compare
from initlab.comparison.result import Comparison, StudyInterrupted
from initlab.comparison.search import search
from initlab.comparison.search_result import Search

__all__ = ["Comparison", "Search", "StudyInterrupted", "compare", "search"]
