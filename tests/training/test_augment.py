"""Augmentation in batches does what the same operation does to one picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from training import augment
from training.augment import AugmentError, boxes, colour, erasing, geometry, mixing, parse, randaugment
from training.augment.names import KNOWN

EVERYTHING = (
    *("flip", "vflip", "shift=2", "crop=0.3:1", "rotate=20", "scale=0.8:1.2", "colour=0.3", "hue=0.1"),
    *("greyscale=0.2", "randaugment=2:9", "erase=0.5", "mixup=0.3", "cutmix=1"),
)


def pictures(n: int = 6, size: int = 12, seed: int = 0) -> Tensor:
    """uint8[n, 3, size, size]; neighbours are alike, as in photographs."""
    chance = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (n, 3, 4, 4), generator=chance, dtype=torch.uint8).float()
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear").to(torch.uint8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("flop",), "unknown augmentation 'flop'"),
        (("shift",), "'shift'"),
        (("shift=0",), "'shift=0'"),
        (("shift=2.5",), "'shift=2.5'"),
        (("crop=0.9:0.1",), "'crop=0.9:0.1'"),
        (("crop=0.5",), "'crop=0.5'"),
        (("rotate=nan",), "'rotate=nan'"),
        (("hue=0.6",), "'hue=0.6'"),
        (("randaugment=2",), "'randaugment=2'"),
        (("randaugment=2:31",), "'randaugment=2:31'"),
        (("mixup=0",), "'mixup=0'"),
        (("flip=1",), "'flip=1'"),
        (("colour=0.4", "contrast=0.1"), "contrast is asked for twice"),
        (("flip", "flip"), "flip is asked for twice"),
    ],
)
def test_a_wrong_name_or_number_is_one_clear_line(names: tuple[str, ...], what: str) -> None:
    with pytest.raises(AugmentError) as raised:
        parse(names)
    assert what in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_known_name_can_be_asked_for() -> None:
    assert {name.partition("=")[0] for name in EVERYTHING} | {"brightness", "contrast", "saturation"} == {
        form.partition("=")[0].partition("[")[0].strip() for form in KNOWN.split(", ") if form[0].isalpha()
    }
    plan = parse(EVERYTHING).plan
    assert (plan.crop, plan.randaugment, plan.brightness) == ((0.3, 1.0), (2, 9), 0.3)


def test_nothing_asked_changes_nothing() -> None:
    x, asked = pictures(), parse(())
    assert asked.pixels(x, seeded()) is x
    targets = torch.arange(6)
    inputs, labels = asked.mix(x.float(), targets, 6, seeded())
    assert torch.equal(inputs, x.float())
    assert torch.equal(labels, torch.eye(6))
    assert not asked.on_pixels
    assert not asked.mixes


@pytest.mark.parametrize("name", EVERYTHING)
def test_each_name_changes_something_and_repeats_with_the_seed(name: str) -> None:
    asked, x, targets = parse((name,)), pictures(), torch.arange(6)
    results = []
    for seed in (3, 3, 4):
        chance = seeded(seed)
        seen = asked.pixels(x, chance).float()
        results.append(asked.mix(seen, targets, 6, chance)[0])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2]) or name in ("flip", "vflip")
    assert any(not torch.equal(asked_of, x.float()) for asked_of in results)
    assert results[0].min() >= 0
    assert results[0].max() <= 255


def test_what_a_picture_gets_does_not_depend_on_labels_or_pictures() -> None:
    asked, states = parse(EVERYTHING), []
    for seed in (0, 1):
        chance = seeded()
        seen = asked.pixels(pictures(seed=seed), chance, 10)
        asked.mix(seen.float(), torch.full((6,), seed), 3, chance)
        states.append(chance.get_state())
    assert torch.equal(states[0], states[1])


@given(seed=st.integers(0, 1000), shift=st.integers(1, 9), size=st.integers(5, 9))
@settings(max_examples=30, deadline=None)
def test_flips_and_shifts_by_index_equal_numpy_one_by_one(seed: int, shift: int, size: int) -> None:
    plan, x = parse(("flip", "vflip", f"shift={shift}")).plan, pictures(5, size, seed)
    got = geometry.looked_up(x, plan, seeded(seed))
    chance = seeded(seed)
    drawn = [
        torch.randint(low, high, (5,), generator=chance).tolist()
        for low, high in ((0, 2), (-shift, shift + 1)) * 2
    ]
    for i, (across, right, down, low) in enumerate(zip(*drawn, strict=True)):
        wide = 2 * size
        # Turned first and moved then: a shift points the other way in a mirrored picture.
        turned = x[i].numpy()[:, :: -1 if down else 1, :: -1 if across else 1]
        turned = np.pad(turned, ((0, 0), (wide, wide), (wide, wide)), mode="symmetric")
        top, left = wide + (-low if down else low), wide + (-right if across else right)
        assert np.array_equal(got[i].numpy(), turned[:, top : top + size, left : left + size])


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_map_and_the_index_agree_on_whole_pixels(seed: int) -> None:
    plan, x = parse(("flip", "vflip", "shift=3")).plan, pictures(7, 9, seed)
    by_index = geometry.looked_up(x, plan, seeded(seed))
    by_map = geometry.sampled(x, geometry.drawn(x, plan, 9, seeded(seed)), 9)
    assert torch.allclose(by_map, by_index.float(), atol=0.01)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_crop_is_the_box_scaled_as_torchvision_does(seed: int) -> None:
    plan, x = parse(("crop=0.2:0.9",)).plan, pictures(4, 24, seed)
    got = geometry.moved(x, plan, [], 16, seeded(seed))
    chance = seeded(seed)
    for low, high in ((-plan.rotate, plan.rotate), plan.scale):
        boxes.uniform(4, low, high, chance)
    box = boxes.drawn(4, 24, 24, (0.2, 0.9), geometry.RATIOS, chance)
    for i in range(4):
        top, left, height, width = (int(part[i]) for part in box[:4])
        expected = reference.resized_crop(x[i].float(), top, left, height, width, [16, 16], antialias=False)
        # At the edge of the box ours sees the picture's next pixels, torchvision the box's last ones.
        inner = slice(2, -2)
        assert torch.allclose(got[i, :, inner, inner], expected[:, inner, inner], atol=0.01)


def test_boxes_have_the_share_and_shape_of_torchvision_and_fit() -> None:
    box = boxes.drawn(20_000, 40, 30, (0.08, 1.0), geometry.RATIOS, seeded())
    assert (box.top >= 0).all()
    assert (box.top + box.height <= 40).all()
    assert (box.left >= 0).all()
    assert (box.left + box.width <= 30).all()
    from torchvision.transforms.v2 import RandomResizedCrop

    torch.manual_seed(0)
    crop = RandomResizedCrop(10)
    drawn = [crop.make_params([torch.zeros(3, 40, 30)]) for _ in range(4000)]
    for key, ours in (("height", box.height), ("width", box.width), ("top", box.top), ("left", box.left)):
        theirs = torch.tensor([float(params[key]) for params in drawn])
        spread = float(theirs.std() / math.sqrt(len(theirs)))
        assert abs(float(ours.mean() - theirs.mean())) < 4 * spread + 0.02, key


@given(angle=st.floats(-90, 90), zoom=st.floats(0.6, 1.5))
@settings(max_examples=20, deadline=None)
def test_turns_and_zooms_equal_torchvision_inside(angle: float, zoom: float) -> None:
    x = pictures(1, 24)
    turn = torch.tensor([math.radians(angle)])
    cos, sin, nought = turn.cos() / zoom, turn.sin() / zoom, torch.zeros(1)
    ours = geometry.sampled(x, geometry.matrix(cos, -sin, nought, sin, cos, nought), 24)
    options = {"translate": [0, 0], "scale": zoom, "shear": [0.0, 0.0]}
    bilinear = reference.InterpolationMode.BILINEAR
    theirs = reference.affine(x.float(), -angle, **options, interpolation=bilinear)
    known = reference.affine(torch.ones(1, 1, 24, 24), -angle, **options, interpolation=bilinear) > 0.999
    assert known.any()
    assert torch.allclose(ours[:, :, known[0, 0]], theirs[:, :, known[0, 0]], atol=0.3)


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_colours_equal_torchvision(factor: float) -> None:
    x = pictures().float()
    each = torch.full((6,), factor)
    for ours, theirs in (
        (colour.brightened, reference.adjust_brightness),
        (colour.contrasted, reference.adjust_contrast),
        (colour.saturated, reference.adjust_saturation),
    ):
        expected = theirs(x / 255, factor) * 255
        assert torch.allclose(ours(x, each), expected, atol=0.2), theirs.__name__
    turn = (factor - 0.85) / 2
    expected = reference.adjust_hue(x / 255, turn) * 255
    assert torch.allclose(colour.hue_turned(x, torch.full((6,), turn)), expected, atol=0.2)


STRENGTHS = {
    "brightness": lambda x, m: reference.adjust_brightness(x, 1 + 0.9 * m),
    "colour": lambda x, m: reference.adjust_saturation(x, 1 + 0.9 * m),
    "contrast": lambda x, m: reference.adjust_contrast(x, 1 + 0.9 * m),
    "sharpness": lambda x, m: reference.adjust_sharpness(x, 1 + 0.9 * m),
    "posterise": lambda x, m: reference.posterize(x, 8 - round(4 * abs(m))),
    "solarise": lambda x, m: reference.solarize(x, 255 * (1 - abs(m))),
    "autocontrast": lambda x, m: reference.autocontrast(x),
    "equalise": lambda x, m: reference.equalize(x),
    "identity": lambda x, m: x,
}


@pytest.mark.parametrize("name", STRENGTHS)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("magnitude", [0, 9, 30])
def test_recolourings_equal_torchvision(name: str, sign: float, magnitude: int) -> None:
    x = torch.cat([pictures(3, 20), torch.full((1, 3, 20, 20), 77, dtype=torch.uint8)])
    operation = torch.full((4,), randaugment.OPERATIONS.index(name))
    step = randaugment.Step(operation, torch.full((4,), sign), magnitude / 30)
    ours = randaugment.recoloured(x, step)
    theirs = torch.stack([STRENGTHS[name](picture, sign * magnitude / 30) for picture in x])
    assert ours.dtype == torch.uint8
    assert (ours.int() - theirs.int()).abs().max() <= (2 if name in ("colour", "contrast") else 1)


@pytest.mark.parametrize("name", ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_moves_equal_torchvision_inside(name: str, sign: float) -> None:
    x, strength = pictures(1, 24), 15 / 30
    step = randaugment.Step(
        torch.tensor([randaugment.OPERATIONS.index(name)]), torch.tensor([sign]), strength
    )
    ours = geometry.sampled(x, randaugment.moves(step, 24), 24)
    options: dict[str, object] = {"angle": 0.0, "translate": [0, 0], "shear": [0.0, 0.0]}
    if name == "shear_x":
        options |= {"shear": [math.degrees(math.atan(sign * 0.15)), 0.0], "center": [0.0, 0.0]}
    elif name == "shear_y":
        options |= {"shear": [0.0, math.degrees(math.atan(sign * 0.15))], "center": [0.0, 0.0]}
    elif name == "rotate":
        options |= {"angle": -sign * 15.0}  # its `rotate` counts the other way round than its `affine`
    else:
        shift = int(sign * strength * 150 / 331 * 24)
        options |= {"translate": [shift, 0] if name == "translate_x" else [0, shift]}
    bilinear = reference.InterpolationMode.BILINEAR
    theirs = reference.affine(x.float(), scale=1.0, interpolation=bilinear, **options)
    known = reference.affine(torch.ones(1, 1, 24, 24), scale=1.0, interpolation=bilinear, **options) > 0.999
    assert 200 < int(known.sum()) < 576
    assert torch.allclose(ours[:, :, known[0, 0]], theirs[:, :, known[0, 0]], atol=0.3)


def test_randaugment_draws_every_operation_equally_often() -> None:
    steps = randaugment.drawn((2, 9), torch.zeros(14_000, 3, 1, 1), seeded())
    for step in steps:
        counts = torch.bincount(step.operation, minlength=14)
        assert len(counts) == len(randaugment.OPERATIONS)
        assert (counts - 1000).abs().max() < 150
    assert not torch.equal(steps[0].operation, steps[1].operation)


def test_erasing_covers_boxes_of_the_asked_share() -> None:
    x = torch.full((4000, 3, 16, 16), 9, dtype=torch.uint8)
    covered = (erasing.erased(x, 0.3, seeded()) == erasing.FILL).float().mean((1, 2, 3))
    chosen = covered > 0
    assert abs(float(chosen.float().mean()) - 0.3) < 0.04
    assert covered[chosen].max() < 0.4
    assert abs(float(covered[chosen].mean()) - (0.02 + 0.33) / 2) < 0.03


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_beta_has_the_mean_and_spread_of_its_distribution(alpha: float) -> None:
    chance = seeded()
    draws = torch.stack([mixing.beta(alpha, chance) for _ in range(4000)])
    assert abs(float(draws.mean()) - 0.5) < 0.03
    assert abs(float(draws.var()) - 1 / (4 * (2 * alpha + 1))) < 0.01


def test_mixup_blends_inputs_and_labels_by_one_share() -> None:
    x, targets = pictures().float(), torch.tensor([0, 1, 2, 0, 1, 2])
    mixed, labels = parse(("mixup=1",)).mix(x, targets, 3, seeded(5))
    share = float(mixing.beta(1.0, seeded(5)))
    for i in range(6):
        assert torch.allclose(mixed[i], share * x[i] + (1 - share) * x[i - 1], atol=1e-3)
        expected = torch.zeros(3)
        expected[targets[i]] += share
        expected[targets[i - 1]] += 1 - share
        assert torch.allclose(labels[i], expected)


@given(seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_cutmix_labels_say_what_the_pictures_show(seed: int) -> None:
    x = torch.arange(5.0)[:, None, None, None].expand(5, 3, 8, 8)
    mixed, labels = parse(("cutmix=1",)).mix(x, torch.arange(5), 5, seeded(seed))
    for i in range(5):
        seen = torch.tensor([float((mixed[i, 0] == k).float().mean()) for k in range(5)])
        assert torch.allclose(labels[i], seen, atol=1e-6)
    assert torch.allclose(labels.sum(1), torch.ones(5))


def test_of_mixup_and_cutmix_a_batch_gets_one() -> None:
    x, both, blended = (
        torch.arange(4.0)[:, None, None, None].expand(4, 3, 6, 6),
        parse(("mixup=1", "cutmix=1")),
        0,
    )
    for seed in range(60):
        mixed, labels = both.mix(x, torch.eye(4), 4, seeded(seed))
        assert torch.allclose(labels.sum(1), torch.ones(4))
        blended += bool((mixed != mixed.round()).any())
    assert 15 < blended < 45


def test_the_cache_holds_more_than_the_net_sees_where_crops_are_asked() -> None:
    assert parse(("crop", "flip")).stored_size(224) == 256
    assert parse(("flip", "shift=4")).stored_size(224) == 224
    with pytest.raises(ValueError, match="without a crop"):
        parse(("flip",)).pixels(pictures(2, 16), seeded(), 12)


def test_the_manual_and_the_package_say_the_same() -> None:
    text = augment.__doc__ or ""
    table = text[text.index("| name |") : text.index("\n\nAll is drawn")]
    assert table in (Path(__file__).parents[2] / "docs" / "guide.md").read_text()
    assert all(f"`{name.partition('=')[0]}" in table for name in EVERYTHING)
