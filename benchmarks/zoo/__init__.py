"""`make zoo`: `auto` on models of libraries that the project has never seen, in an environment of its own."""
