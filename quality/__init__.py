"""Stage 3, what the votes mean: gold, references, worker skills, consensus."""
