"""Pages of this stage; the table in annotation_site/urls.py includes them."""

from django.urls import path

from quality.views import (
    adjudication,
    image_list,
    images,
    instructions,
    new_round,
    preview,
    quality,
    quizzes,
    round_changes,
    rounds,
    worker,
    workers,
)

urlpatterns = [
    path("d/<slug:name>/rounds/", rounds.round_list, name="rounds"),
    path("d/<slug:name>/rounds/new", new_round.new_round, name="round_new"),
    path("d/<slug:name>/rounds/new/<int:pk>", new_round.planned_round, name="round_planned"),
    path("d/<slug:name>/rounds/new/<int:pk>/again", new_round.make_again, name="round_make_again"),
    path("d/<slug:name>/rounds/<int:pk>", rounds.round_detail, name="round"),
    path("d/<slug:name>/rounds/<int:pk>/change", round_changes.change, name="round_change"),
    path("d/<slug:name>/rounds/<int:pk>/change/finish", round_changes.finish_change, name="change_finish"),
    path("d/<slug:name>/rounds/<int:pk>/instructions", instructions.instructions, name="round_instructions"),
    path("d/<slug:name>/rounds/<int:pk>/preview", preview.preview, name="round_preview"),
    path("d/<slug:name>/rounds/<int:pk>/pause", round_changes.pause, name="round_pause"),
    path("d/<slug:name>/rounds/<int:pk>/reopen", round_changes.reopen, name="round_reopen"),
    path("d/<slug:name>/rounds/<int:pk>/settle", rounds.settle, name="round_settle"),
    path("d/<slug:name>/rounds/<int:pk>/close", rounds.close, name="round_close"),
    path("d/<slug:name>/quizzes/", quizzes.quizzes, name="quizzes"),
    path("d/<slug:name>/quizzes/new", quizzes.quiz_new, name="quiz_new"),
    path("d/<slug:name>/quizzes/<int:pk>", quizzes.quiz_edit, name="quiz_edit"),
    path("d/<slug:name>/review/", images.review, name="review"),
    path("d/<slug:name>/review/<int:task>/decide", adjudication.decide, name="decide"),
    path("d/<slug:name>/quality/", quality.quality, name="quality"),
    path("d/<slug:name>/images/", image_list.image_list, name="images"),
    path("d/<slug:name>/images/<str:sha>", images.image, name="image"),
    path("d/<slug:name>/workers/", workers.worker_list, name="workers"),
    path("d/<slug:name>/workers/<path:code>/act", worker.act, name="worker_act"),
    path("d/<slug:name>/workers/<path:code>/void/<int:pk>", worker.void, name="worker_void"),
    path("d/<slug:name>/workers/<path:code>", worker.worker_detail, name="worker"),
    path("d/<slug:name>/feedback/", worker.feedback, name="feedback"),
]
