"""WHICH PARAMETERS: selectors and the policy argument read, what was loaded, and what no law can be written into."""
