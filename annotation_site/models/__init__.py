"""People, rounds, tasks, leases and votes.

Sized for 10^9 votes: a Vote row holds numbers only, a Lease lives no longer than the work it stands for, and
what a claim asks for ("claimable") is kept in the row and indexed, so that a claim never counts anything.
"""

from annotation_site.models.consent import Consent, ConsentText
from annotation_site.models.joining import Entrance, InvitationLink, InvitationLinkQuerySet
from annotation_site.models.labels import NO, NONE, UNSURE, VERIFY_UNSURE, YES, special_labels
from annotation_site.models.people import ApiToken, Membership, Role, User, Worker, new_worker_code
from annotation_site.models.quiz import (
    Quiz,
    QuizAnswer,
    QuizAttempt,
    QuizQuestion,
    QuizRecord,
    QuizVersion,
)
from annotation_site.models.rounds import InstructionExample, Instructions, Round, RoundChange
from annotation_site.models.tasks import Invitation, Participation, Task, TaskQuerySet
from annotation_site.models.votes import Assignment, Lease, Receipt, Vote, VoteQuerySet

__all__ = [
    "NO",
    "NONE",
    "UNSURE",
    "VERIFY_UNSURE",
    "YES",
    "ApiToken",
    "Assignment",
    "Consent",
    "ConsentText",
    "Entrance",
    "InstructionExample",
    "Instructions",
    "Invitation",
    "InvitationLink",
    "InvitationLinkQuerySet",
    "Lease",
    "Membership",
    "Participation",
    "Quiz",
    "QuizAnswer",
    "QuizAttempt",
    "QuizQuestion",
    "QuizRecord",
    "QuizVersion",
    "Receipt",
    "Role",
    "Round",
    "RoundChange",
    "Task",
    "TaskQuerySet",
    "User",
    "Vote",
    "VoteQuerySet",
    "Worker",
    "new_worker_code",
    "special_labels",
]
