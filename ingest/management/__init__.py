"""Command lines of this stage."""
