"""Where pictures are looked for, one file for each kind of place; each yields `Found` records."""
