"""What is thought of a release after it was published; its bytes never change."""

from __future__ import annotations

from django.utils import timezone

from export.models import Release


class NotDeprecated(ValueError):
    """It cannot be marked so; one line for the user."""


def deprecate_release(release: Release, reason: str, instead: Release | None = None) -> None:
    """Mark a release as one that nobody should use any more.

    Raises:
        NotDeprecated: no reason, or a replacement of another dataset or that is the release itself.
    """
    if not reason.strip():
        raise NotDeprecated("--reason must say why")
    if instead is not None and instead.pk == release.pk:
        raise NotDeprecated(f"{release} cannot replace itself")
    if instead is not None and instead.dataset_id != release.dataset_id:
        raise NotDeprecated(f"{instead} is of another dataset than {release}")
    release.deprecated = release.deprecated or timezone.now()
    release.deprecation_reason = " ".join(reason.split()).rstrip(".")  # pages make a sentence of it
    release.replaced_by = instead
    release.save(update_fields=["deprecated", "deprecation_reason", "replaced_by"])


def restore_release(release: Release) -> None:
    """Take the mark away."""
    release.deprecated, release.deprecation_reason, release.replaced_by = None, "", None
    release.save(update_fields=["deprecated", "deprecation_reason", "replaced_by"])
