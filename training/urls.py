"""Pages of this stage; the table in annotation_site/urls.py includes them."""

from django.urls import URLPattern, path

from training import views

urlpatterns: list[URLPattern] = [
    path("d/<slug:name>/runs/", views.run_list, name="runs"),
    path("d/<slug:name>/runs/<int:pk>", views.run_detail, name="run"),
    path("d/<slug:name>/runs/<int:pk>/report", views.run_report, name="run_report"),
]
