"""HOW SIGNALS FLOW: a forward pass recorded as a SignalGraph; fans from layer geometry; rules per operation."""
