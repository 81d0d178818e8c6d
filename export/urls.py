"""Pages of this stage; the table in annotation_site/urls.py includes them."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
