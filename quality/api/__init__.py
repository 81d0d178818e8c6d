"""What the votes mean, for programs: rounds, workers, disputed pictures, images and their story.

Added to the site's API when its addresses are made. Who may read or do something is as on the pages.
"""

from annotation_site.api import api
from annotation_site.api.problems import answer_with
from annotation_site.services.instructions import BadInstructions
from annotation_site.services.quiz_making import BadQuiz
from quality.aggregation.votes import BadVotes
from quality.api.figures import router as figures
from quality.api.images import router as images
from quality.api.instructions import router as instructions
from quality.api.new_rounds import router as new_rounds
from quality.api.pictures import router as pictures
from quality.api.quizzes import router as quizzes
from quality.api.review import router as review
from quality.api.rounds import router as rounds
from quality.api.workers import router as workers
from quality.services.adjudication import UnusableDecision
from quality.services.followups import UnusableRound
from quality.services.image_filters import BadFilter
from quality.services.workers import UnusableReview

answer_with(api, 409, BadVotes, UnusableReview)
answer_with(api, 422, BadFilter, BadInstructions, BadQuiz, UnusableDecision, UnusableRound)
for part in (new_rounds, rounds, instructions, quizzes, workers, review, figures, images, pictures):
    api.add_router("", part)
