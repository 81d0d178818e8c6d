"""What the votes mean, for programs: rounds, workers, disputed pictures, one image's story.

Added to the site's API when its addresses are made. Who may read or do something is as on the pages.
"""

from annotation_site.api import api
from annotation_site.api.problems import answer_with
from quality.aggregation.votes import BadVotes
from quality.api.pictures import router as pictures
from quality.api.review import router as review
from quality.api.rounds import router as rounds
from quality.api.workers import router as workers
from quality.services.adjudication import UnusableDecision
from quality.services.workers import UnusableReview

answer_with(api, 409, BadVotes, UnusableReview)
answer_with(api, 422, UnusableDecision)
for part in (rounds, workers, review, pictures):
    api.add_router("", part)
