"""The verbs of this stage: each changes several rows at once, in short transactions."""
