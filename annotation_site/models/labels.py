"""The labels of CONTRACTS that are no category."""

NONE, UNSURE = "__none__", "__unsure__"
YES, NO, VERIFY_UNSURE = "yes", "no", "unsure"
