"""Pages of this stage; the table in annotation_site/urls.py includes them."""

from django.urls import URLPattern, path

from ingest.views import duplicates, sources

urlpatterns: list[URLPattern] = [
    path("d/<slug:name>/sources/", sources.sources, name="sources"),
    path("d/<slug:name>/duplicates/", duplicates.duplicates, name="duplicates"),
    path("d/<slug:name>/duplicates/join", duplicates.join, name="duplicates_join"),
    path("d/<slug:name>/duplicates/split", duplicates.split, name="duplicates_split"),
]
