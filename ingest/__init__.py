"""Stage 1, where pictures come from: datasets, categories, sources, candidates, images, duplicate groups."""
