"""One file for each `manage.py` command of this stage."""
