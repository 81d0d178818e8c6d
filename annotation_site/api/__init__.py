"""The JSON API at /api/v1/. Its calls are promised in README.md; its page is /api/v1/docs."""

from annotation_site.api import (
    datasets,
    duplicates,
    joining,
    members,
    own,
    problems,
    quizzes,
    routes,
    sources,
)
from annotation_site.api.site_api import ApiPage, SiteApi
from ingest.services.duplicates import CannotChange

api = SiteApi(
    title="Assay",
    version="1",
    description=(
        "Log in for a token, then send it as a bearer token. To label: claim a batch of tasks, send its "
        "votes. Lists come by the page: `next` is the address of the following rows. Errors are problem "
        "documents."
    ),
    docs=ApiPage({"tryItOutEnabled": True, "defaultModelsExpandDepth": -1}),
    urls_namespace="api",
)
for part in (routes, quizzes, own, joining, datasets, members, sources, duplicates):
    api.add_router("", part.router)
problems.install(api)
problems.answer_with(api, 409, CannotChange)
