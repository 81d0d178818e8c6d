"""Template tags of quality's pages."""
