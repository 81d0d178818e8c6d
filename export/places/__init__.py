"""Where a release grows and stands: a folder beside its final name, or a bucket."""
