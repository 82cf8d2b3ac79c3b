"""WHAT SHOULD HAPPEN: the gain of any activation, mean-field maps, critical points. No framework is imported here."""
