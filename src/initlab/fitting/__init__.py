"""WEIGHTS FROM DATA: LSUV, RBM, deep belief network and other data-dependent starts."""
