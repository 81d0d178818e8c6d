"""The labels of CONTRACTS that are no category."""

NONE, UNSURE = "__none__", "__unsure__"
YES, NO, VERIFY_UNSURE = "yes", "no", "unsure"


def special_labels(question: str) -> list[str]:
    """The labels of a question (`verify` or `classify`) that are no category."""
    return [YES, NO, VERIFY_UNSURE] if question == "verify" else [NONE, UNSURE]
