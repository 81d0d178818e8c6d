"""The verbs of this stage that change several rows at once."""
