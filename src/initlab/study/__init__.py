"""RUNS THAT SURVIVE: the store, claims on work, and what a study was begun with."""
