"""WHICH WINS: many runs trained side by side, studies that survive, statistics."""
