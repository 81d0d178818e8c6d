"""Which key answers which choice on the labelling page. Pure."""

from __future__ import annotations

# n and u always mean "none of these" and "can't tell", whatever the number of categories.
SPECIAL_KEYS = {"__none__": "n", "__unsure__": "u", "yes": "y", "no": "n", "unsure": "u"}
CATEGORY_KEYS = "1234567890" + "".join(c for c in "abcdefghijklmnopqrstuvwxyz" if c not in "nu")


def choice_keys(labels: list[str]) -> dict[str, str]:
    """label -> key, for as many categories as there are keys (34); the rest is reached by pointing or Tab."""
    categories = [label for label in labels if label not in SPECIAL_KEYS]
    keys = dict(zip(categories, CATEGORY_KEYS, strict=False))
    return {label: SPECIAL_KEYS.get(label) or keys.get(label, "") for label in labels}
