"""Why a service says no. Each message is one sentence for the person who asked."""


class Refusal(Exception):
    """Base of what the API answers with a problem document."""


class RoundNotOpen(Refusal):
    """The round is paused or closed: it hands out nothing (409)."""


class NotAllowed(Refusal):
    """This worker may not do that (403)."""


class TooMuchHeld(Refusal):
    """The worker holds several batches already: their answers come first (409)."""


class NoSuchAssignment(Refusal):
    """No assignment of this worker has that number (404)."""


class BadVotes(Refusal):
    """A label that the round does not know, or a malformed key: nothing of the batch was stored (422)."""


class KeyReused(Refusal):
    """The key belongs to another batch of votes (409)."""
