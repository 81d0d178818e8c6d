"""Heat maps: Grad-CAM's own definition, on every kind of net, and in the report."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision import models

from tests.training.conftest import CLASSES
from training import networks
from training.report.gradcam import choose, gallery, heat_maps, overlay
from training.report.rollout import attends, rollout
from training.settings import Settings
from training.trained import Nets, open_run

CPU = torch.device("cpu")


def net_of(name: str, classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return models.get_model(name, weights=None, num_classes=classes).eval()


def test_after_a_mean_over_places_it_is_the_class_activation_map() -> None:
    """Selvaraju et al. 2017, section 3.1: of such nets Grad-CAM is CAM, sum of w_k A_k, here cut off at 0."""
    torch.manual_seed(1)
    net = networks.small_net(3).eval()
    x = torch.randn(4, 3, 64, 64)
    classes = [0, 1, 2, 0]
    found = heat_maps(net, x, classes)
    assert found is not None
    with torch.no_grad():
        maps = net[:4](x)
        cam = torch.einsum("nkhw,nk->nhw", maps, net[6].weight[torch.tensor(classes)]).clamp_min(0)
    wanted = cam / cam.amax((1, 2), keepdim=True).clamp_min(1e-12)
    assert found.shape == (4, 4, 4)
    assert found == pytest.approx(wanted.numpy(), abs=1e-5)


@pytest.mark.parametrize(
    "name",
    ["resnet18", "densenet121", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5", "alexnet"],
)
def test_convolutional_nets_have_maps(name: str) -> None:
    net = net_of(name)
    x = torch.randn(2, 3, 96, 96)
    before = net(x)
    found = heat_maps(net, x, [0, 2])
    assert found is not None
    assert found.ndim == 3
    assert min(found.shape[1:]) >= 2
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.equal(net(x), before)  # no hook stays behind
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_frozen_backbone_and_its_head_have_maps() -> None:
    trunk = networks.recipe_for(Settings(size=128), 3).trunk()
    top = networks.head(torch.randn(8, 1280), 3, 16).eval().requires_grad_(False)
    found = heat_maps(nn.Sequential(trunk, top), torch.randn(2, 3, 128, 128), [1, 2])
    assert found is not None
    assert found.shape == (2, 4, 4)
    assert found.max() == 1


def transformer(layers: int) -> models.VisionTransformer:
    torch.manual_seed(0)
    return models.VisionTransformer(32, 8, layers, 2, 16, 32, num_classes=3).eval()


def test_of_one_layer_the_rollout_is_its_attention() -> None:
    net, x = transformer(1), torch.randn(2, 3, 32, 32)
    before = net(x)
    found = rollout(net, x)
    assert torch.equal(net(x), before)
    with torch.no_grad():
        block = net.encoder.layers[0]
        tokens = torch.cat([net.class_token.expand(2, -1, -1), net._process_input(x)], 1)
        seen = block.ln_1(tokens + net.encoder.pos_embedding)
        _, weights = block.self_attention(seen, seen, seen, need_weights=True)
    wanted = weights[:, 0, 1:].reshape(2, 4, 4)
    wanted = wanted / wanted.amax((1, 2), keepdim=True)
    assert found == pytest.approx(wanted.numpy(), abs=1e-5)


def test_of_more_layers_it_is_their_product() -> None:
    net = nn.Sequential(transformer(3), nn.Identity())
    assert attends(net)
    found = rollout(net, torch.randn(2, 3, 32, 32))
    assert found.shape == (2, 4, 4)
    assert found.reshape(2, -1).max(axis=1) == pytest.approx(1)
    assert found.min() > 0
    assert not attends(net_of("resnet18"))


def test_nets_that_attend_have_no_such_maps() -> None:
    assert heat_maps(transformer(1), torch.randn(1, 3, 32, 32), [0]) is None
    assert heat_maps(nn.Sequential(nn.Flatten(), nn.Linear(27, 3)), torch.randn(1, 3, 3, 3), [0]) is None


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 5), st.integers(0, 14))
def test_the_worst_confusions_come_first(key: int, n: int, classes: int, most: int) -> None:
    rng = np.random.default_rng(key)
    chance, truth = rng.dirichlet(np.ones(classes), n), rng.integers(0, classes, n)
    cases = choose(chance, truth, most)
    rows = [case.row for case in cases]
    assert len(rows) == len(set(rows)) <= most
    wrong = [case for case in cases if case.predicted != case.true]
    assert cases[: len(wrong)] == wrong
    assert all(case.predicted == chance[case.row].argmax() for case in cases)
    assert all(case.chances[1] == chance[case.row, case.true] for case in cases)
    predicted = chance.argmax(axis=1)
    confused = predicted != truth
    if most and confused.any() and wrong:
        pairs, counts = np.unique(np.stack([truth, predicted])[:, confused], axis=1, return_counts=True)
        frequent = dict(zip(map(tuple, pairs.T.tolist()), counts.tolist(), strict=True))
        assert frequent[wrong[0].true, wrong[0].predicted] == counts.max()
    if most > 1 and (~confused).any():
        assert any(case.predicted == case.true for case in cases)


def test_hot_places_are_coloured_and_cold_ones_left() -> None:
    pixels = np.full((32, 32, 3), 100, np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 1
    shown = overlay(pixels, heat)
    assert (shown[20:, 20:] == 100).all()
    assert shown[1, 1, 0] > 120
    assert shown[1, 1, 2] < 80


def test_the_report_shows_them(small_run: Path) -> None:
    page = (small_run / "report.html").read_text()
    part = page.split("<h2>Where it looks</h2>")[1].split("<h2>")[0]
    wrong, right = (len(re.findall(f"<figcaption>{w}", part)) for w in ("taken", "rightly"))
    assert right >= 1
    assert part.count("data:image/jpeg") == 3 * wrong + 2 * right
    assert wrong + right <= 12
    assert len(part) < 200_000


def test_a_limit_and_a_run_whose_nets_are_gone(small_run: Path, tmp_path: Path) -> None:
    run = open_run(small_run)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (9, 24, 24, 3), dtype=np.uint8)
    chance = Nets(run, "consensus", (0,), CPU).probabilities(pixels)[0]
    truth = rng.integers(0, 3, 9)
    assert gallery(run, "consensus", CLASSES, truth, pixels, chance, CPU, 0) == ""
    four = gallery(run, "consensus", CLASSES, truth, pixels, chance, CPU, 4)
    assert four.count('class="cam"') == 4
    assert gallery(run, "consensus", CLASSES, truth, pixels, chance, CPU, 4) == four
    gone = Path(shutil.copytree(small_run, tmp_path / "gone", ignore=shutil.ignore_patterns("cache")))
    shutil.rmtree(gone / "checkpoints")
    told = gallery(open_run(gone), "consensus", CLASSES, truth, pixels, chance, CPU, 4)
    assert "Not shown:" in told
    assert "missing" in told
