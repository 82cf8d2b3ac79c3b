"""THE LITERATURE: one file per published experiment, each with the claims it tests."""
