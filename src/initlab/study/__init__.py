"""RUNS THAT SURVIVE: the store, claims on work, what a study was begun with, its export to Optuna."""
