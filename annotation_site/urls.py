"""The URL table. Each stage keeps its own pages; names are looked up here."""

from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
]
