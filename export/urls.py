"""Pages of this stage; the table in annotation_site/urls.py includes them.

Under `d/` for those who look after a dataset, under `releases/` for everyone who may see a release.
"""

from django.urls import URLPattern, path

from export import views
from export.views import takedown

SHARED = "releases/<slug:name>/<str:version>/"

urlpatterns: list[URLPattern] = [
    path("d/<slug:name>/", views.overview, name="dataset"),
    path("d/<slug:name>/takedown/", takedown.takedown, name="takedown"),
    path("d/<slug:name>/takedown/<int:pk>/keep", takedown.keep_near, name="takedown_keep"),
    path("d/<slug:name>/releases/", views.release_list, name="releases"),
    path("d/<slug:name>/releases/<str:version>", views.release_detail, name="release"),
    path("d/<slug:name>/releases/<str:version>/share", views.share, name="share"),
    path("releases/", views.public_list, name="public_releases"),
    path("releases/<slug:name>/", views.public_dataset, name="public_dataset"),
    path(SHARED, views.public_release, name="public_release"),
    path(f"{SHARED}card", views.card, name="public_card"),
    path(f"{SHARED}figures/<str:file>", views.figure, name="public_figure"),
    path(f"{SHARED}cite.bib", views.bibtex_file, name="bibtex"),
    path(f"{SHARED}CITATION.cff", views.cff_file, name="cff"),
    path(f"{SHARED}changes/<str:old>", views.changes, name="public_changes"),
    path(f"{SHARED}categories/", views.category, name="public_categories"),
    path(f"{SHARED}categories/<str:key>", views.category, name="public_category"),
    path(f"{SHARED}unlabelled/", views.unlabelled, name="public_unlabelled"),
    path(f"{SHARED}pictures/<str:sha256>", views.picture, name="public_picture"),
    path(f"{SHARED}pictures/<str:sha256>/thumb", views.picture_file, {"size": "thumb"}, name="public_thumb"),
    path(f"{SHARED}pictures/<str:sha256>/full", views.picture_file, {"size": "full"}, name="public_full"),
    path(f"{SHARED}download", views.terms, name="terms"),
    path(f"{SHARED}download/<str:link>/", views.link, name="download"),
    path(f"{SHARED}download/<str:link>/<str:file>", views.archive, name="archive"),
    path(f"{SHARED}download/<str:link>/files/<path:path>", views.file, name="release_file"),
]
