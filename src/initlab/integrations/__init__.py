"""Keras and JAX: the same schemes and streams behind those frameworks' own interfaces."""
