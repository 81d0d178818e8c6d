from typing import Any

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"
    verbose_name = "What the labels are worth"

    def ready(self) -> None:
        """Hear of every release that is published."""
        from export.signals import release_published

        release_published.connect(_published, dispatch_uid="training")


def _published(sender: Any, release: Any, **more: Any) -> str:
    """Celery is loaded when it is needed, not at every start of a command."""
    from training.jobs import retrain_published

    return retrain_published(release)
