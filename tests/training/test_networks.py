"""Models by name, weights to start from, and what of a net is taught."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

from training import networks
from training.networks import DownloadError, NetworkError, Recipe, recipe_for, weights
from training.networks.parts import head_names
from training.settings import Settings

CLASSES = 3


def recipe(model: str, size: int, **more: object) -> Recipe:
    return recipe_for(Settings(model=model, size=size, **({"weights": "none"} | more)), CLASSES)


@pytest.mark.parametrize(
    ("model", "size", "shares"),
    [
        ("alexnet", 64, ()),
        ("googlenet", 32, (0.3, 0.3)),
        ("inception_v3", 299, (0.4,)),
        ("lite0", 32, ()),
        ("mobilenet_v3_small", 32, ()),
        ("shufflenet_v2_x0_5", 32, ()),
        ("small", 24, ()),
        ("squeezenet1_1", 32, ()),
        ("vit_b_32", 64, ()),
    ],
)
def test_models_by_name(model: str, size: int, shares: tuple[float, ...]) -> None:
    """Scores come out, auxiliary ones in training alone, counted by their recipe's share.

    On torch's meta device, which knows shapes and computes nothing.
    """
    with torch.device("meta"):
        net = recipe(model, size).fresh()
        x = torch.zeros(2, 3, size, size)
    networks.set_training(net)
    output = net(x)
    assert [scores.shape for scores in networks.scores_of(output)] == [(2, CLASSES)] * (1 + len(shares))
    assert networks.aux_shares(output) == shares
    net.eval()
    with torch.inference_mode():
        assert len(networks.scores_of(net(x))) == 1
    assert {part.shape[0] for part in networks.head_parameters(net)} == {CLASSES}


@pytest.mark.parametrize(
    ("model", "size", "line"),
    [
        ("inception_v3", 128, "inception_v3 cannot see pictures of 128 px; give --size 299"),
        ("alexnet", 32, "alexnet cannot see pictures of 32 px; give --size 64"),
        ("vit_b_16", 100, "vit_b_16 cannot see pictures of 100 px; give --size 112"),
        ("resnet7", 32, "unknown model 'resnet7'"),
        ("fcn_resnet50", 64, "unknown model 'fcn_resnet50'"),  # a net of torchvision's that segments
    ],
)
def test_what_cannot_be_built_says_what_to_do(model: str, size: int, line: str) -> None:
    with pytest.raises(NetworkError, match=line):
        recipe(model, size)


def test_the_stem_of_resnets_suits_the_size() -> None:
    kernels = {
        (size, stem): recipe("resnet18", size, stem=stem).fresh().conv1.kernel_size[0]
        for size, stem in ((32, "auto"), (64, "auto"), (65, "auto"), (32, "imagenet"), (224, "cifar"))
    }
    assert list(kernels.values()) == [3, 3, 7, 7, 3]
    assert isinstance(recipe("resnet18", 32).fresh().maxpool, nn.Identity)
    with pytest.raises(NetworkError, match="for ResNets, not vgg11"):
        recipe("vgg11", 32, stem="cifar")


def test_dropout_where_the_net_has_it_or_before_the_head() -> None:
    with torch.device("meta"):
        own = recipe("alexnet", 64, dropout=0.1).fresh()
    assert {part.p for part in own.modules() if isinstance(part, nn.Dropout)} == {0.1}
    for model in ("resnet18", "small"):
        plain, dropped = (recipe(model, 32, dropout=share).fresh().train() for share in (None, 0.9))
        assert dropped.state_dict().keys() == plain.state_dict().keys()
        layer = dropped.get_submodule(head_names(dropped)[0])
        with torch.no_grad():
            layer.weight.fill_(1)
            x = torch.ones(1, layer.weight.shape[1])
            assert len({float(layer(x).sum()) for _ in range(9)}) > 1
            dropped.eval()
            assert torch.equal(layer(x), layer(x))


@pytest.mark.parametrize(
    ("model", "size", "first"),
    [
        ("resnet18", 32, "layer4.0.conv1.weight"),
        ("small", 24, "3.0.weight"),
        ("lite0", 32, "_blocks.14._expand_conv.weight"),
        ("mobilenet_v3_small", 32, "features.11.block.0.0.weight"),
        ("googlenet", 32, "inception5a.branch1.conv.weight"),
    ],
)
def test_what_is_taught(model: str, size: int, first: str, tmp_path: Path) -> None:
    """The last stage, or the head alone; frozen parts stay in evaluation and keep their statistics."""
    torch.save(recipe(model, size).fresh().state_dict(), tmp_path / "w.pt")
    net = recipe(model, size, train="last", weights=str(tmp_path / "w.pt")).fresh()
    taught = [name for name, p in net.named_parameters() if p.requires_grad]
    assert taught[0] == first
    assert len(networks.head_parameters(net)) == 2  # no auxiliary head is left
    names = [name for name, _ in net.named_parameters()]
    assert taught == names[names.index(first) :]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    networks.set_training(net)
    loss = net(torch.randn(4, 3, size, size)).sum()
    loss.backward()
    moved = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    assert moved
    assert {name.split(".")[0] for name in moved} <= {name.split(".")[0] for name in taught}
    trunk = recipe(model, size, train="head", weights=str(tmp_path / "w.pt")).trunk()
    assert not any(p.requires_grad for p in trunk.parameters())
    assert trunk(torch.randn(2, 3, size, size)).ndim == 2


def test_weights_from_a_file_and_another_number_of_classes(tmp_path: Path) -> None:
    """Wrapped and prefixed as other tools write them; the head is drawn anew where classes differ."""
    torch.manual_seed(0)
    made = recipe_for(Settings(model="resnet18", size=32, weights="none"), 7).fresh()
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in made.state_dict().items()}, "epoch": 3},
        tmp_path / "w.pth",
    )
    net = recipe("resnet18", 32, weights=str(tmp_path / "w.pth")).fresh()
    own, other = net.state_dict(), made.state_dict()
    assert all(torch.equal(own[name], other[name]) for name in own if not name.startswith("fc."))
    assert own["fc.weight"].shape == (CLASSES, 512)
    same = recipe_for(Settings(model="resnet18", size=224, weights=str(tmp_path / "w.pth")), 7)
    assert same.stem == "cifar"  # as the weights have it, whatever the size
    assert torch.equal(same.fresh().fc.weight, made.fc.weight)


def test_places_of_a_vision_transformer_are_stretched() -> None:
    def tiny(size: int) -> nn.Module:
        net = VisionTransformer(size, 8, 1, 1, hidden_dim=8, mlp_dim=8, num_classes=CLASSES)
        net.head_names = ("heads.head",)
        return net

    small, large = tiny(16), tiny(32)
    weights.adopt(large, small.state_dict(), "tiny", "w.pt")
    assert large.encoder.pos_embedding.shape == (1, 17, 8)
    assert torch.equal(large.encoder.pos_embedding[:, 0], small.encoder.pos_embedding[:, 0])
    assert torch.equal(large.conv_proj.weight, small.conv_proj.weight)


def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"

    def refused(model: str, content: object, **more: object) -> str:
        torch.save(content, file)
        with pytest.raises(NetworkError) as error:
            recipe(model, 32, weights=str(file), **more)
        assert "\n" not in str(error.value)
        return str(error.value)

    state = recipe("resnet18", 32).fresh().state_dict()
    line = refused("resnet18", state, stem="imagenet")
    assert "another shape: layer conv1.weight is 64x3x3x3 there and 64x3x7x7 in this resnet18" in line
    assert "layer layer1.0.conv1.weight is 64x64x3x3 there and 64x64x1x1" in refused("resnet50", state)
    assert "none of them is of small (the first is conv1.weight)" in refused("small", state)
    del state["layer3.0.conv1.weight"]
    assert "layer layer3.0.conv1.weight of resnet18 is not among them" in refused("resnet18", state)
    assert "no state dict" in refused("resnet18", [1, 2])
    file.write_bytes(b"none")
    with pytest.raises(NetworkError, match="no file of weights"):
        recipe("resnet18", 32, weights=str(file))
    with pytest.raises(NetworkError, match=r"gone\.pt: No such file"):
        recipe("resnet18", 32, weights=str(tmp_path / "gone.pt"))
    with pytest.raises(NetworkError, match="known are IMAGENET1K_V1, DEFAULT"):
        recipe("resnet18", 32, weights="IMAGENET9")
    with pytest.raises(NetworkError, match="has no weights yet; give --weights"):
        recipe("resnet18", 32, train="head")


def test_a_download_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.error import URLError

    def fail(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(DownloadError, match=r"IMAGENET1K_V1 of resnet18 cannot be fetched \(no route\)"):
        weights.read("ResNet18_Weights.IMAGENET1K_V1", "resnet18")
