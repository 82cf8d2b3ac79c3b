"""A TENSOR'S OWN MEMORY: what part of it is here, what it holds, drawing into it. No plan, no recording."""
