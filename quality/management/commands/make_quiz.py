"""`manage.py make_quiz`: see `annotation_site.services.quiz_making`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from annotation_site.models import Quiz, Round
from annotation_site.services.quiz import needed
from annotation_site.services.quiz_making import BadQuiz, NewQuestion, QuizChanged, Wanted, save_quiz
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from ingest.services.images import resolve_images
from ingest.tables import read_table


class Command(AssayCommand):
    """Make a quiz, or give one other pictures."""

    help = (
        "Make a quiz that people pass before they label, from a table: image,label[,why], for a verify quiz "
        "image,category,label[,why]. A title that is there already gets a new version."
    )
    example = """python manage.py make_quiz clothing "Coats and jackets" --file quiz.csv
        python manage.py make_quiz clothing "Is it a coat?" --question verify --file coats.csv"""

    def add_arguments(self, parser: CommandParser) -> None:
        """The quiz; what is not told stays as it is, or as usual."""
        parser.add_argument("name", help="dataset")
        parser.add_argument("title", help="what people see as the quiz's name")
        parser.add_argument(
            "--file", required=True, help="table: image (sha256, or a unique path or URL), label, why"
        )
        parser.add_argument(
            "--question", choices=Round.Question.values, help="(default: classify, or as it is)"
        )
        parser.add_argument(
            "--pass-mark", type=float, help="share of right answers that passes (default: 0.8)"
        )
        parser.add_argument("--tries", type=int, help="that everybody has (default: 3)")
        parser.add_argument(
            "--categories", metavar="ID,…", default="", help="only these can be answered (default: all)"
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, check, save."""
        dataset = self.dataset(options["name"])
        quiz = dataset.quizzes.filter(title=" ".join(options["title"].split())).first()
        question = options["question"] or (quiz.question if quiz else Round.Question.CLASSIFY.value)
        wanted = Wanted(
            title=options["title"],
            question=question,
            questions=_questions(dataset, question, options["file"]),
            categories=[key.strip() for key in options["categories"].split(",") if key.strip()],
            pass_share=_told(options["pass_mark"], quiz.pass_share if quiz else 0.8),
            tries=_told(options["tries"], quiz.tries if quiz else 3),
        )
        try:
            saved = save_quiz(dataset, wanted, by=None, quiz=quiz, read=quiz.version if quiz else 0)
        except (BadQuiz, QuizChanged) as refusal:
            raise BadInput(f"{options['file']}: {refusal}") from None
        self._report(options, saved, len(wanted.questions))

    def _report(self, options: dict[str, Any], quiz: Quiz, pictures: int) -> None:
        data = {
            "quiz": quiz.pk,
            "title": quiz.title,
            "version": quiz.version,
            "pictures": pictures,
            "needed": needed(quiz, pictures),
        }
        words = (
            f"quiz {quiz.title}, version {quiz.version}: {number_of(pictures, 'picture')}, passed with "
            f"{data['needed']} right; ask for it with open_round --quiz, or change_round --quiz"
        )
        self.report(options, data, words)


def _told(given: Any, usual: Any) -> Any:
    return usual if given is None else given


def _questions(dataset: Dataset, question: str, path: str) -> list[NewQuestion]:
    verify = question == Round.Question.VERIFY
    needed_columns = ["image", "category", "label"] if verify else ["image", "label"]
    frame = read_table(path, needed_columns, rename={"task": "image", "item": "image"})
    found = resolve_images(dataset, set(frame["image"]))
    unknown = [*found.unknown, *found.ambiguous]
    if unknown:
        images = number_of(len(unknown), "image is", "images are")
        raise BadInput(
            f"{path}: {images} unknown, or several have that path or URL: {', '.join(unknown[:3])}"
        )
    whys = frame["why"].fillna("").astype(str) if "why" in frame.columns else [""] * len(frame)
    about = frame["category"] if verify else [""] * len(frame)
    rows = zip(frame["image"], frame["label"], whys, about, strict=True)
    return [NewQuestion(found.found[image].sha256, label, why, asked) for image, label, why, asked in rows]
