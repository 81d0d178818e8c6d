"""Which key answers which choice on the labelling page. Pure."""

from __future__ import annotations

from string import ascii_lowercase

# n and u always mean "none of these" and "can't tell" (and z a closer look), unless each letter is needed.
SPECIAL_KEYS = {"__none__": "n", "__unsure__": "u", "yes": "y", "no": "n", "unsure": "u"}
CATEGORY_KEYS = "1234567890" + "".join(letter for letter in ascii_lowercase if letter not in "nuz")
ALL_KEYS = "1234567890" + ascii_lowercase
SIGNS = {"__none__": "-", "__unsure__": "."}


def needs_search(labels: list[str]) -> bool:
    """Whether there are more categories than keys, so that they are found by typing a part of their name."""
    return _categories(labels) > len(ALL_KEYS)


def choice_keys(labels: list[str]) -> dict[str, str]:
    """label -> key; none ("") for categories that are searched for."""
    if needs_search(labels):
        return {label: SIGNS.get(label, "") for label in labels}
    few = _categories(labels) <= len(CATEGORY_KEYS)
    special = SPECIAL_KEYS if few else SIGNS
    categories = [label for label in labels if label not in SPECIAL_KEYS]
    keys = dict(zip(categories, CATEGORY_KEYS if few else ALL_KEYS, strict=False))
    return {label: special.get(label) or keys[label] for label in labels}


def _categories(labels: list[str]) -> int:
    return sum(label not in SPECIAL_KEYS for label in labels)
