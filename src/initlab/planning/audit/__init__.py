"""WHAT START A MODEL HAS: the law of each parameter, told from its values, and the faults that starts in use had."""
