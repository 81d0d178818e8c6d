"""Pages of this stage; the table in annotation_site/urls.py includes them."""

from django.urls import URLPattern, path

from ingest import views

urlpatterns: list[URLPattern] = [path("d/<slug:name>/sources/", views.sources, name="sources")]
