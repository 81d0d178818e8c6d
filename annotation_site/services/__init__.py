"""The verbs of the labelling site that change several rows at once, one short transaction each."""
