"""Pages of releases: for those who look after a dataset, and, of shared releases, for everyone."""

from export.views.browse import category, figure, picture, picture_file, unlabelled
from export.views.dataset import overview
from export.views.download import archive, file, link, terms
from export.views.public import (
    bibtex_file,
    card,
    cff_file,
    changes,
    public_dataset,
    public_list,
    public_release,
)
from export.views.releases import release_detail, release_list, share

__all__ = [
    "archive",
    "bibtex_file",
    "card",
    "category",
    "cff_file",
    "changes",
    "figure",
    "file",
    "link",
    "overview",
    "picture",
    "picture_file",
    "public_dataset",
    "public_list",
    "public_release",
    "release_detail",
    "release_list",
    "share",
    "terms",
    "unlabelled",
]
