"""Pages of the labelling site."""

from annotation_site.views.consent import consent, consent_text
from annotation_site.views.errors import broken, forbidden, not_found
from annotation_site.views.joining import join_link, join_open
from annotation_site.views.labelling import label
from annotation_site.views.members import member_take, members
from annotation_site.views.pages import healthz, home, me
from annotation_site.views.people import (
    Login,
    Logout,
    PasswordChange,
    PasswordReset,
    PasswordResetConfirm,
    account,
    password_reset_sent,
)
from annotation_site.views.pictures import image_full, image_thumb
from annotation_site.views.quiz import quiz
from annotation_site.views.tokens import tokens

__all__ = [
    "Login",
    "Logout",
    "PasswordChange",
    "PasswordReset",
    "PasswordResetConfirm",
    "account",
    "broken",
    "consent",
    "consent_text",
    "forbidden",
    "healthz",
    "home",
    "image_full",
    "image_thumb",
    "join_link",
    "join_open",
    "label",
    "me",
    "member_take",
    "members",
    "not_found",
    "password_reset_sent",
    "quiz",
    "tokens",
]
