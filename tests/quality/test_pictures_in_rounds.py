"""A classifier's table by picture becomes a table by task, and a marked voter in the round's consensus."""

from __future__ import annotations

import pandas as pd
import pytest

from annotation_site.services.tables import votes_table
from ingest.models import Image
from quality.aggregation import BadVotes, aggregate
from quality.models import Consensus
from quality.services.pictures import in_round
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.quality.scenes import CATEGORIES, add_image, crowd, make_dataset, right_with, truth_of

pytestmark = pytest.mark.django_db
PLAN = RoundPlan(votes_min=3, votes_max=3, audit_rate=0.0)


@pytest.fixture
def dataset():
    return make_dataset(40)


def classifier(dataset, name=lambda image: image.sha256, sure=0.9):
    rest = (1 - sure) / (len(CATEGORIES) - 1)
    rows = [
        (name(image), key, sure if key == truth_of(image) else rest)
        for image in dataset.images.order_by("pk")
        for key in CATEGORIES
    ]
    return pd.DataFrame(rows, columns=["task", "label", "probability"])


def accuracy(round, result):
    truth = {str(task.pk): truth_of(task.image) for task in round.tasks.select_related("image")}
    said = result.consensus.set_index("task")["label"]
    return sum(said[task] == label for task, label in truth.items() if task in said) / len(said)


@pytest.mark.parametrize("name", [lambda image: image.sha256, lambda image: f"{image.phash}.jpg"])
def test_pictures_by_sha256_or_path_are_one_more_voter(dataset, name):
    round = open_labelling_round(dataset, "classify", plan=PLAN)
    crowd(round, [right_with(0.6, n) for n in range(3)])
    found = in_round(round, classifier(dataset, name))
    assert (found.unknown, len(found.table)) == (0, 120)
    votes = votes_table(round)
    plain, seen = aggregate(votes), aggregate(votes, pictures=found.table)
    assert seen.summary["method"] == "auto+pictures"
    assert set(seen.consensus["method"]) == {"auto+pictures"}
    assert seen.summary["pictures"]["judged"] == 40
    assert accuracy(round, seen) > accuracy(round, plain)


def test_a_copy_speaks_for_its_group_and_the_representative_for_itself(dataset):
    round = open_labelling_round(dataset, "classify", plan=PLAN)
    first = Image.objects.get(dataset=dataset, phash=5)
    copy = add_image(dataset, 500, group=first.group)
    said = [(copy.sha256, "cat", 1.0), (first.sha256, "dog", 1.0), (first.sha256, "eel", 0.0)]
    names = ["image", "label", "probability"]
    for rows in (said, said[::-1]):
        table = in_round(round, pd.DataFrame(rows, columns=names)).table
        assert table.set_index("label")["probability"].to_dict() == {"dog": 1.0, "eel": 0.0}
    alone = in_round(round, pd.DataFrame(said[:1], columns=names)).table
    assert alone["task"].tolist() == [str(round.tasks.get(image=first).pk)]


def test_a_verify_round_is_told_yes_or_no(dataset):
    round = open_labelling_round(dataset, "verify", images=["0.jpg", "1.jpg"], plan=PLAN)
    table = in_round(round, classifier(dataset)).table
    wide = table.pivot(index="task", columns="label", values="probability")
    assert wide["yes"].tolist() == pytest.approx([0.9, 0.9])
    assert (wide["yes"] + wide["no"]).tolist() == pytest.approx([1, 1])


def test_pictures_of_elsewhere_are_counted_or_refused(dataset):
    round = open_labelling_round(dataset, "classify", images=["0.jpg", "1.jpg"], plan=PLAN)
    assert in_round(round, classifier(dataset)).unknown == 38
    with pytest.raises(BadVotes, match="none of 40 pictures"):
        in_round(round, classifier(dataset, lambda image: f"no{image.phash}"))
    with pytest.raises(BadVotes, match="no column probability"):
        in_round(round, pd.DataFrame({"image": ["x"], "label": ["cat"]}))


def test_a_pass_with_pictures_is_marked_and_one_without_rests_on_votes(dataset, tmp_path, run):
    round = open_labelling_round(dataset, "classify", plan=PLAN)
    crowd(round, [right_with(0.6, n) for n in range(3)])
    file = tmp_path / "probs.parquet"
    elsewhere = pd.DataFrame({"image": ["gone.jpg"], "label": ["cat"], "probability": [1.0]})
    pd.concat([classifier(dataset), elsewhere]).to_parquet(file)
    said = run("aggregate", "pets", "--pictures", file)[1]
    assert "by auto+pictures" in said
    assert "1 picture of the classifier is in no task" in said
    assert set(Consensus.objects.values_list("method", flat=True)) == {"auto+pictures"}
    seen = {c.task_id: c.label for c in Consensus.objects.all()}
    truth = {task.pk: truth_of(task.image) for task in round.tasks.select_related("image")}
    right = sum(seen[task] == label for task, label in truth.items())
    assert run("aggregate", "pets")[0] == 0
    assert set(Consensus.objects.values_list("method", flat=True)) == {"auto"}
    assert right > sum(c.label == truth[c.task_id] for c in Consensus.objects.all())
    (tmp_path / "bad.csv").write_text("task,label\n")
    code, _, err = run("aggregate", "pets", "--pictures", tmp_path / "bad.csv")
    assert (code, err.count("\n")) == (2, 1)
