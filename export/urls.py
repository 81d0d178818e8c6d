"""Pages of this stage; the table in annotation_site/urls.py includes them."""

from django.urls import URLPattern, path

from export import views

urlpatterns: list[URLPattern] = [
    path("d/<slug:name>/", views.overview, name="dataset"),
    path("d/<slug:name>/releases/", views.release_list, name="releases"),
    path("d/<slug:name>/releases/<str:version>", views.release_detail, name="release"),
]
