"""The JSON API at /api/v1/. Its calls are promised in README.md; its page is /api/v1/docs."""

from annotation_site.api import problems
from annotation_site.api.routes import router
from annotation_site.api.site_api import SiteApi

api = SiteApi(
    title="Assay",
    version="1",
    description="Claim a batch of tasks, send its votes. Log in for a token, then send it as a bearer token.",
    urls_namespace="api",
)
api.add_router("", router)
problems.install(api)
