"""Releases and takedowns, for programs. Added to the site's API when its addresses are made."""

from annotation_site.api import api
from annotation_site.api.problems import answer_with
from export.api import releases, takedowns
from export.services.image_takedown import TakedownRefused

answer_with(api, 422, TakedownRefused)
for part in (releases, takedowns):
    api.add_router("", part.router)
