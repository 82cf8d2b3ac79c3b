"""WHAT HAPPENS: one forward and backward pass gives layer statistics, findings and a verdict."""
