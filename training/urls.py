"""Pages of this stage; the table in annotation_site/urls.py includes them."""

from django.urls import URLPattern, path

from training import views

urlpatterns: list[URLPattern] = [
    path("d/<slug:name>/runs/", views.run_list, name="runs"),
    path("d/<slug:name>/runs/publishing", views.publishing, name="runs_publishing"),
    path("d/<slug:name>/runs/<int:pk>", views.run_detail, name="run"),
    path("d/<slug:name>/runs/<int:pk>/report", views.run_report, name="run_report"),
    path("d/<slug:name>/runs/<int:pk>/again", views.again, name="run_again"),
    path("d/<slug:name>/runs/<int:pk>/stop", views.stop, name="run_stop"),
    path("d/<slug:name>/runs/<int:pk>/doubts", views.doubts, name="run_doubts"),
    path("d/<slug:name>/releases/<str:version>/train", views.start, name="run_start"),
]
