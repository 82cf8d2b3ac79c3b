"""`python -m benchmarks.verdict [--test]`: the figures of `docs/verdict.md`, from recorded cells."""

from benchmarks.verdict.score import main

main()
