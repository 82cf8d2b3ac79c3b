"""What performance claims rest on: each module measures one claim beside its alternative, in one run."""
