"""What the pictures of docs/ show beside the demo's own data: people, instructions, votes, takedowns.

Run by `tests.screenshots` beside the site, on the demo's database, with a password for everybody. Prints, as
JSON, the addresses that depend on what the demo made. Run again, it changes nothing.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django

CHINESE = {
    "t-shirt": ("T恤", "针织面料的短袖套头上衣，没有衣领，也没有整排纽扣。"),
    "longsleeve": ("长袖上衣", "长至手腕的针织套头上衣，如运动衫、卫衣或薄毛衣；前面不开襟。"),
    "shirt": ("衬衫", "有衣领、前面整排纽扣的梭织上衣，长袖或短袖。"),
    "outwear": ("外套", "穿在其他衣服外面的夹克、大衣、派克服或棉背心；前面用拉链或纽扣开合。"),
    "dress": ("连衣裙", "上身与裙身相连的一件式衣服。"),
    "skirt": ("半身裙", "从腰部垂下、不分裤腿的衣服。"),
    "pants": ("长裤", "分成两条裤腿、长至脚踝的衣服，包括牛仔裤。"),
    "shorts": ("短裤", "裤腿在膝盖以上或到膝盖的裤子。"),
    "shoes": ("鞋", "穿在脚上的鞋子、靴子或凉鞋。"),
    "hat": ("帽子", "戴在头上的帽子、鸭舌帽或毛线帽。"),
}
WARDROBE = """
anorak apron ascot bandana bathrobe beanie belt beret bikini blazer blouse bolero boots bow-tie cape
cardigan clogs coat corset cravat culottes dungarees earmuffs flip-flops gilet gloves gown hoodie
jeans jersey jumpsuit kaftan kilt kimono leggings loafers mittens moccasins muffler necktie
nightgown overalls overcoat parka poncho pullover pyjamas raincoat sandals sari sarong scarf shawl
slippers sneakers socks stockings sweatshirt swimsuit tracksuit trench-coat tunic turtleneck tuxedo
veil vest waistcoat wellingtons
"""
"""Names of categories, parted by spaces."""
CONSENT = (
    "You look at photos of clothes and say what they show. It takes as long as you like.\n\n"
    "We keep your answers, when they came and how long each took, under a number and not under your name. "
    "You may stop at any time and take this consent back; answers that were given stay, because the work of "
    "others rests on them.\n\n"
    "Questions: the people who run this dataset, clothing@example.org."
)
TOLD = {
    "classify": "Name the piece of clothing that fills most of the photo.\n\nA photo that shows none of them "
    "is “none of these”. Where you cannot tell, say so: a guess helps nobody.",
    "verify": "Tick a photo when the piece is in it, whole or in part, worn or not.",
}
WHY = {
    "t-shirt": "Short sleeves, and no collar.",
    "longsleeve": "Sleeves to the wrist, and it does not open in front.",
    "shirt": "A collar, and buttons all the way down.",
}
"""What a quiz tells after an answer."""
LABELLERS = ("mei", "ben")
"""Annotators of the pictures: one who has labelled and accepted, one who comes new."""


def build(password: str) -> dict[str, str]:
    """Add what is missing; name -> address."""
    from annotation_site.models import Role, User
    from annotation_site.services.accounts import create_user
    from ingest.models import Dataset

    clothing = Dataset.objects.get(name="clothing")
    Dataset.objects.filter(pk=clothing.pk).update(
        title="Clothing", description="Ten kinds of clothes, from photos of the web."
    )
    curator = create_user("cora", Role.CURATOR, dataset=clothing, password=password)[0]
    create_user("rui", Role.REVIEWER, dataset=clothing, password=password)
    create_user("ada", Role.RESEARCHER, dataset=clothing, password=password)
    for name in LABELLERS:
        create_user(name, Role.ANNOTATOR, dataset=clothing, password=password)
    assert isinstance(curator, User)
    _words(clothing)
    addresses = _rounds(clothing, curator)
    _people(clothing, curator)
    addresses |= _quiz(clothing, curator)
    addresses |= _pictures(clothing, curator)
    addresses |= _wardrobe(clothing, password)
    return addresses | _workers_and_runs(clothing)


def _words(dataset: Any) -> None:
    """Categories in Chinese."""
    from ingest.services.translations import translate_categories

    known = set(dataset.categories.values_list("key", flat=True))
    translate_categories(
        dataset,
        {key: {"zh-hans": {"name": n, "gloss": g}} for key, (n, g) in CHINESE.items() if key in known},
    )


def _rounds(dataset: Any, curator: Any) -> dict[str, str]:
    """Instructions with examples in the rounds that are open; some answers of Mei's."""
    from annotation_site.models import Round
    from annotation_site.services.instructions import NewExample, tell
    from quality.services.examples import offers

    found = {}
    for round in dataset.rounds.filter(state=Round.State.OPEN).order_by("pk"):
        found[round.question] = round
        if round.instructions_version > 1:
            continue
        examples = []
        for category in round.categories()[:3]:
            good, bad = offers(round, category)
            examples += [NewExample(category.key, row.sha256, True) for row in good[:2]]
            examples += [
                NewExample(category.key, row.sha256, False, "it only looks like one") for row in bad[:1]
            ]
        tell(round, TOLD[round.question], examples, read=round.instructions_version)
        _answers(round)
    done = dataset.rounds.filter(state=Round.State.CLOSED).order_by("pk")[0]
    return {
        "label": f"/label/{found['classify'].pk}/",
        "grid": f"/label/{found['verify'].pk}/",
        "round": f"/d/clothing/rounds/{done.pk}",
        "round-change": f"/d/clothing/rounds/{found['classify'].pk}/change",
        "instructions": f"/d/clothing/rounds/{found['classify'].pk}/instructions",
    }


def _answers(round: Any) -> None:
    """Thirty answers of Mei's: what the first round settled on."""
    from annotation_site.models import NO, NONE, YES, Worker
    from annotation_site.services.claims import claim_batch
    from annotation_site.services.votes import Answer, record_votes
    from quality.models import Consensus

    mei = Worker.objects.get(user__username="mei")
    batch = claim_batch(mei, round, 30)
    if batch is None:
        return
    held = Consensus.objects.filter(
        task__image__in=[task.image_id for task in batch.tasks], task__category=None
    )
    known = dict(held.order_by("pk").values_list("task__image", "label"))
    answers = []
    for place, task in enumerate(batch.tasks):
        label = known.get(task.image_id, NONE)
        if task.category is not None:
            label = YES if label == task.category.key else NO
        answers.append(Answer(task.pk, label, 1.4 + place % 5 * 0.3))
    record_votes(mei, batch.assignment.pk, f"docs-{round.pk}", answers)


def _people(dataset: Any, curator: Any) -> None:
    """A consent text that Mei has accepted and Ben has not; links; another dataset that is open."""
    from annotation_site.models import Membership, Role, User
    from annotation_site.services.consent import accept, newest_text, save_text
    from annotation_site.services.members import links_of, make_link, set_sign_up
    from ingest.categories import CategoryRow
    from ingest.models import Dataset
    from ingest.services.datasets import create_dataset

    text = newest_text(dataset) or save_text(curator, dataset, CONSENT, seen=0)
    assert text is not None
    for person in User.objects.filter(memberships__dataset=dataset).exclude(username="ben").distinct():
        accept(person, dataset, text.version)
    if not links_of(dataset).exists():
        make_link(curator, dataset, Role.ANNOTATOR, note="Photography class, spring", uses=25)
        make_link(curator, dataset, Role.REVIEWER, note="for Noor", days=3)
    if not Dataset.objects.filter(name="signs").exists():
        signs = create_dataset(
            "signs", [CategoryRow("stop", "Stop"), CategoryRow("yield", "Give way")], title="Street signs"
        )
        Dataset.objects.filter(pk=signs.pk).update(
            description="Signs at the side of the road, from all over the world."
        )
        set_sign_up(curator, signs, "open")
    Membership.objects.filter(user=curator, dataset__name="signs").delete()


def _quiz(dataset: Any, curator: Any) -> dict[str, str]:
    """Six pictures of three kinds that are easily confused."""
    from annotation_site.models import Round
    from annotation_site.services.quiz_making import NewQuestion, Wanted, save_quiz
    from quality.services.examples import offers

    quiz = dataset.quizzes.order_by("pk").first()
    if quiz is None:
        round = dataset.rounds.filter(state=Round.State.OPEN, question="classify").order_by("pk")[0]
        asked = []
        for category in round.categories().filter(key__in=WHY):
            good = offers(round, category)[0][4:6]
            asked += [NewQuestion(row.sha256, category.key, WHY[category.key]) for row in good]
        quiz = save_quiz(dataset, Wanted("Which top is it?", "classify", asked), by=curator)
    return {"quiz": f"/quiz/{quiz.pk}/"}


def _pictures(dataset: Any, curator: Any) -> dict[str, str]:
    """A picture with copies and votes, whose story is told; two that were taken down; one that has to go."""
    from export.services.image_takedown import foresee, take_picture_down
    from export.services.sharing import share_release
    from ingest.models import Image
    from quality.models import Consensus
    from quality.services.adjudication import adjudicate
    from quality.services.label_figures import keep_figures

    told = Consensus.objects.filter(
        task__round__dataset=dataset, task__gold=False, task__image__taken_down=None
    )
    many = told.filter(task__image__group__size__gt=1, votes__gte=5).order_by("confidence", "pk")
    shown = (many.first() or told.order_by("-votes", "pk")[0]).task.image
    if not dataset.takedowns.exists():
        alone = Image.objects.filter(dataset=dataset, group__size=1, tasks=None).order_by("-pk")
        alone = (
            alone if alone.exists() else Image.objects.filter(dataset=dataset, group__size=1).order_by("-pk")
        )
        for image, reason in zip(alone[:2], ("asked for by its author", "shows a face"), strict=False):
            take_picture_down(foresee(dataset, hashes=[image.sha256]), reason, curator.username)
        for row in told.exclude(method="adjudication").order_by("confidence", "pk")[3:5]:
            adjudicate(row.task, row.label, "rui")
    keep_figures(dataset)
    share_release(dataset.releases.order_by("-pk")[0])
    going = Image.objects.filter(dataset=dataset, taken_down=None, group__size__gt=2).order_by("pk").first()
    named = going.sha256 if going else shown.sha256
    return {
        "image": f"/d/clothing/images/{shown.sha256}",
        "takedown": f"/d/clothing/takedown/?image={named}&reason=asked+for+by+its+author",
    }


def _wardrobe(clothing: Any, password: str) -> dict[str, str]:
    """A round among many categories, to be found by typing."""
    from annotation_site.models import Role, Round
    from annotation_site.services.accounts import create_user
    from annotation_site.services.rounds import open_round
    from ingest.categories import CategoryRow
    from ingest.models import Dataset, Image
    from ingest.services.datasets import create_dataset

    dataset = Dataset.objects.filter(name="wardrobe").first()
    if dataset is None:
        rows = [CategoryRow(word, word.replace("-", " ").capitalize()) for word in WARDROBE.split()]
        dataset = create_dataset("wardrobe", rows, title="A whole wardrobe")
        photos = list(clothing.images.filter(taken_down=None).order_by("-width", "sha256")[:24])
        for photo in photos:
            photo.pk, photo.dataset, photo.group = None, dataset, None
        Image.objects.bulk_create(photos)
        create_user("mei", Role.ANNOTATOR, dataset=dataset, password=password)
        tasks = [(pk, None) for pk in dataset.images.order_by("pk").values_list("pk", flat=True)]
        open_round(dataset, "classify", tasks=tasks, title="What is it called?", votes_max=5)
    return {"type-ahead": f"/label/{Round.objects.get(dataset=dataset).pk}/"}


def _workers_and_runs(dataset: Any) -> dict[str, str]:
    """The worker with the most flags; the newest training run."""
    from quality.models import WorkerSkill
    from training.models import TrainingRun

    rows = WorkerSkill.objects.filter(round__dataset=dataset).select_related("worker")
    flagged = max(rows, key=lambda row: (row.flags.count(";") + bool(row.flags), row.votes, -row.pk))
    run = TrainingRun.objects.filter(release__dataset=dataset).order_by("-pk")[0]
    return {"worker": f"/d/clothing/workers/{flagged.worker.code}", "run": f"/d/clothing/runs/{run.pk}"}


if __name__ == "__main__":
    django.setup()
    print(json.dumps(build(sys.argv[1])))
