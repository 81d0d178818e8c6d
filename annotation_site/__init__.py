"""Stage 2, the Django project and the labelling site: workers, rounds, tasks, assignments, votes."""
