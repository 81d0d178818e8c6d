"""The URL table. Each stage keeps its own pages; a name is looked up from here."""

from django.contrib import admin
from django.urls import include, path
from django.utils.module_loading import autodiscover_modules
from django.views.i18n import set_language

from annotation_site import views
from annotation_site.api import api

autodiscover_modules("api")  # a later stage adds its calls to the API in a module of this name

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", views.Logout.as_view(), name="logout"),
    path("label/<int:round_id>/", views.label, name="label"),
    path("quiz/<int:quiz_id>/", views.quiz, name="quiz"),
    path("me/", views.me, name="me"),
    path("me/account/", views.account, name="account"),
    path("me/password/", views.PasswordChange.as_view(), name="password_change"),
    path("me/tokens/", views.tokens, name="tokens"),
    path("password/reset/", views.PasswordReset.as_view(), name="password_reset"),
    path("password/reset/sent/", views.password_reset_sent, name="password_reset_sent"),
    path("password/<uidb64>/<token>/", views.PasswordResetConfirm.as_view(), name="password_reset_confirm"),
    path("join/<str:token>/", views.join_link, name="join_link"),
    path("d/<slug:name>/join/", views.join_open, name="join_open"),
    path("d/<slug:name>/consent/", views.consent, name="consent"),
    path("d/<slug:name>/members/", views.members, name="members"),
    path("d/<slug:name>/members/consent/", views.consent_text, name="consent_text"),
    path("d/<slug:name>/members/<int:membership_id>/take", views.member_take, name="member_take"),
    path("images/<slug:name>/<str:sha256>/full", views.image_full, name="image_full"),
    path("images/<slug:name>/<str:sha256>/thumb", views.image_thumb, name="image_thumb"),
    path("language/", set_language, name="set_language"),
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
