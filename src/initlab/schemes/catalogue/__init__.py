"""The catalogue: one table of entries a file, each entry a scheme with its catalogue arguments."""
