"""The URL table. Each stage keeps its own pages; a name is looked up from here."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("ingest.urls")),
    path("", include("quality.urls")),
    path("", include("export.urls")),
    path("", include("training.urls")),
]
