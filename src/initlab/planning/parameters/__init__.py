"""WHAT EACH PARAMETER IS to its model: where it stands, which role it has, and what feeds it."""
