"""Pages of the labelling site."""

from annotation_site.views.errors import broken, forbidden, not_found
from annotation_site.views.labelling import label
from annotation_site.views.pages import healthz, home, me
from annotation_site.views.people import Login, Logout
from annotation_site.views.pictures import image_full, image_thumb

__all__ = [
    "Login",
    "Logout",
    "broken",
    "forbidden",
    "healthz",
    "home",
    "image_full",
    "image_thumb",
    "label",
    "me",
    "not_found",
]
