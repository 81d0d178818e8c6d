"""The URL table. Each stage keeps its own pages; a name is looked up from here."""

from django.contrib import admin
from django.urls import include, path
from django.utils.module_loading import autodiscover_modules

from annotation_site import views
from annotation_site.api import api

autodiscover_modules("api")  # a later stage adds its calls to the API in a module of this name

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", views.Logout.as_view(), name="logout"),
    path("label/<int:round_id>/", views.label, name="label"),
    path("me/", views.me, name="me"),
    path("images/<slug:name>/<str:sha256>/full", views.image_full, name="image_full"),
    path("images/<slug:name>/<str:sha256>/thumb", views.image_thumb, name="image_thumb"),
    path("healthz", views.healthz, name="healthz"),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
    path("", include("ingest.urls")),
    path("", include("quality.urls")),
    path("", include("export.urls")),
    path("", include("training.urls")),
]

handler403 = "annotation_site.views.forbidden"
handler404 = "annotation_site.views.not_found"
handler500 = "annotation_site.views.broken"
