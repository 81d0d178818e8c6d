"""Curator pages about labels: rounds, disagreements, workers, one image."""
