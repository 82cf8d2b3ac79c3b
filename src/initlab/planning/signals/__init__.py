"""WHAT BECOMES OF A SIGNAL, told from a recording alone: what reads it, what made it, which numbers stand beside it."""
