"""Pages of training runs: what the labels are worth."""

from training.views.doubts import doubts
from training.views.run import again, run_detail, run_report, stop
from training.views.runs import publishing, run_list
from training.views.start import start

__all__ = ["again", "doubts", "publishing", "run_detail", "run_list", "run_report", "start", "stop"]
