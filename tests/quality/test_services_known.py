import pytest

from ingest.models import Image
from quality.models import Gold, Reference
from quality.services.known import UnusableAnswers, add_gold, add_references, settled_references
from tests.quality.scenes import add_image, make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset():
    return make_dataset(6)


def image(dataset, number):
    return Image.objects.get(dataset=dataset, phash=number)


def test_gold_goes_to_the_representative_by_sha_or_path(dataset):
    copy = add_image(dataset, 100, group=image(dataset, 0).group)
    summary = add_gold(dataset, [(copy.sha256, "dog"), ("1.jpg", "__none__")])
    assert (summary.added, summary.unchanged, summary.changed) == (2, 0, 0)
    labels = {gold.image_id: gold.label for gold in Gold.objects.select_related("category")}
    assert labels == {image(dataset, 0).pk: "dog", image(dataset, 1).pk: "__none__"}


def test_the_same_gold_again_changes_nothing_and_a_new_answer_is_told(dataset):
    rows = [("0.jpg", "cat"), ("1.jpg", "dog")]
    add_gold(dataset, rows)
    before = list(Gold.objects.values_list())
    again = add_gold(dataset, rows)
    assert (again.added, again.unchanged, again.changed) == (0, 2, 0)
    assert list(Gold.objects.values_list()) == before
    changed = add_gold(dataset, [("0.jpg", "eel"), ("1.jpg", "dog")])
    assert (changed.changed, changed.changes) == (1, ["0.jpg: cat -> eel"])
    assert Gold.objects.get(image=image(dataset, 0)).label == "eel"


def test_unknown_images_and_labels_write_nothing(dataset):
    rows = [("0.jpg", "cat"), ("nowhere.jpg", "cat"), ("1.jpg", "cow")]
    with pytest.raises(UnusableAnswers, match=r"1 row names an unknown image \(nowhere.jpg\); 1 .* \(cow\)"):
        add_gold(dataset, rows)
    assert not Gold.objects.exists()
    summary = add_gold(dataset, rows, skip_unknown=True)
    assert (summary.added, summary.skipped) == (1, 2)


def test_two_answers_for_one_picture_are_a_conflict(dataset):
    copy = add_image(dataset, 100, group=image(dataset, 0).group)
    rows = [("0.jpg", "cat"), (copy.sha256, "dog")]
    with pytest.raises(
        UnusableAnswers, match=r"1 picture gets two answers: 0.jpg and .* \(the same picture\)"
    ):
        add_gold(dataset, rows)
    with pytest.raises(UnusableAnswers, match="by anna"):
        add_references(dataset, [(*row, "anna") for row in rows])
    assert not Gold.objects.exists()
    assert not Reference.objects.exists()


def test_references_settle_by_majority_of_the_experts(dataset):
    add_references(dataset, [("0.jpg", "cat"), ("1.jpg", "dog", "anna"), ("2.jpg", "eel", "anna")])
    add_references(dataset, [("1.jpg", "dog", "ben"), ("2.jpg", "cat", "ben")])
    zero, one, two = (image(dataset, n).pk for n in range(3))
    assert settled_references(dataset) == {zero: "cat", one: "dog"}
    assert settled_references(dataset, [one]) == {one: "dog"}
    add_references(dataset, [("2.jpg", "cat", "cleo")])
    assert settled_references(dataset) == {zero: "cat", one: "dog", two: "cat"}


def test_references_again_change_nothing_and_an_expert_may_change_their_mind(dataset):
    rows = [("0.jpg", "cat", "anna"), ("0.jpg", "dog", "ben")]
    assert add_references(dataset, rows).added == 2
    assert add_references(dataset, rows).unchanged == 2
    assert add_references(dataset, [("0.jpg", "cat", "ben")]).changes == ["0.jpg: dog -> cat"]
    assert settled_references(dataset) == {image(dataset, 0).pk: "cat"}
