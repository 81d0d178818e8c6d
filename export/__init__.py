"""Stage 4, releases: immutable, reproducible, checked."""
