"""Runs laid side by side on the test pictures that they share: is one better, by how much, is it real?

`runs` reads them, `shared` finds the pictures, `paired` measures, `words`, `text` and `page` tell it.
"""
