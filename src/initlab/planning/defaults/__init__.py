"""WHAT EACH KIND OF PARAMETER GETS where a policy says nothing else; a start that its author meant is kept."""
