"""The parts of a training: rates, penalties, averages, balance, memory, early stopping."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from training.augment import parse
from training.loop import (
    CompileFailed,
    Fitted,
    Inputs,
    NotDeterministic,
    ShortOfMemory,
    Validation,
    fit,
    predict,
)
from training.loop.chance import key_of
from training.loop.failures import explained
from training.loop.optimise import Average, optimizer_for, rate_at, set_rate, shape_gradients
from training.loop.order import class_weights, epoch_order
from training.settings import Settings

POINTS = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
CLASSES = (POINTS[:, 0] > 0).long()


def rows_of(rows: Tensor, chance: torch.Generator | None) -> Tensor:
    return POINTS[rows]


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 2)


def taught(
    asked: Settings, net: nn.Module | None = None, labels: Tensor = CLASSES
) -> tuple[nn.Module, Fitted]:
    net = net or linear()
    return net, fit(net, Inputs(rows_of, 2), torch.arange(len(labels)), labels, asked, 0)


def test_rates_rise_and_fall_as_the_schedule_says() -> None:
    cosine = Settings(epochs=10, warmup=0.2)
    rates = [rate_at(step, 100, cosine) for step in range(100)]
    assert rates[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert rates[60] == pytest.approx(0.5)
    assert rates[99] < 0.01
    stepped = Settings(epochs=90, schedule="step", warmup=0.0)
    assert [rate_at(step, 900, stepped) for step in (0, 299, 300, 599, 600, 899)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )
    constant = Settings(schedule="constant", warmup=0.0)
    assert {rate_at(step, 50, constant) for step in range(50)} == {1.0}


def test_head_and_backbone_have_rates_of_their_own() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    net.head_names = ("2",)
    optimizer = optimizer_for(net, Settings(lr=0.1, backbone_lr=0.25, weight_decay=0.5))
    found = {
        id(p): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert found[id(net[0].weight)] == (0.025, 0.5)
    assert found[id(net[0].bias)] == (0.025, 0.0)
    assert found[id(net[2].weight)] == (0.1, 0.5)
    set_rate(optimizer, 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {0.0125, 0.05}
    everything = optimizer_for(net, Settings(decay_all=True)).param_groups
    assert {group["weight_decay"] for group in everything} == {0.01}


def test_penalties_and_clipping_change_gradients_as_defined() -> None:
    net = linear()
    x, y = POINTS[:8], CLASSES[:8]
    loss = nn.functional.cross_entropy(net(x), y)
    penalty = 0.3 * net.weight.abs().sum() + 0.7 * net.weight.square().sum() / 2
    expected = torch.autograd.grad(loss + penalty, [net.weight, net.bias])
    nn.functional.cross_entropy(net(x), y).backward()
    shape_gradients(list(net.parameters()), Settings(l1=0.3, l2=0.7))
    assert torch.allclose(net.weight.grad, expected[0], atol=1e-6)
    assert torch.allclose(net.bias.grad, expected[1], atol=1e-6)
    shape_gradients(list(net.parameters()), Settings(clip=0.01))
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in net.parameters()))
    assert norm == pytest.approx(0.01, rel=1e-3)


def test_l1_makes_weights_vanish() -> None:
    net, _ = taught(Settings(epochs=30, batch=8, optimizer="sgd", lr=0.1, l1=0.2, weight_decay=0.0))
    free, _ = taught(Settings(epochs=30, batch=8, optimizer="sgd", lr=0.1, weight_decay=0.0))
    assert net.weight.abs().sum() < 0.5 * free.weight.abs().sum()


def test_the_average_of_weights_is_what_is_kept() -> None:
    net = linear()
    average, seen = Average(net, 0.8), net.weight.detach().clone()
    for step in range(30):
        with torch.no_grad():
            net.weight.add_(1.0)
        average.update()
        decay = min(0.8, (1 + step) / (10 + step))
        seen = decay * seen + (1 - decay) * net.weight.detach()
    assert torch.allclose(average.net.weight, seen, atol=1e-5)
    asked = Settings(epochs=4, batch=8, optimizer="sgd", lr=0.5)
    last, _ = taught(asked)
    mean, _ = taught(Settings(epochs=4, batch=8, optimizer="sgd", lr=0.5, ema=0.9))
    assert not torch.equal(last.weight, mean.weight)


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    needed=st.integers(1, 200),
    balance=st.sampled_from(["none", "weights", "oversample", "undersample"]),
)
def test_an_epoch_shows_what_it_should(labels: list[int], needed: int, balance: str) -> None:
    taught = torch.tensor(labels)
    order = epoch_order(7, 2, taught, 4, needed, balance)
    assert len(order) >= needed
    assert torch.equal(order, epoch_order(7, 2, taught, 4, needed, balance))
    turns = torch.bincount(order, minlength=len(labels))
    if balance in ("none", "weights"):
        assert int(turns.max() - turns.min()) == 0
        return
    shown = torch.bincount(taught[order], minlength=4)
    assert len(set(shown[shown > 0].tolist())) == 1  # every class alike
    if balance == "oversample":
        assert int(turns.min()) >= 1


def test_class_weights_make_classes_count_alike() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [3])
    weights = class_weights(labels, 4)
    assert weights[labels].mean() == pytest.approx(1.0)
    assert [float(weights[labels][labels == c].sum()) for c in (0, 1, 3)] == pytest.approx([10 / 3] * 3)
    rare = torch.cat([torch.zeros(36, dtype=torch.int64), torch.ones(4, dtype=torch.int64)])
    asked = {"epochs": 40, "batch": 8, "lr": 0.05}
    said = [
        predict(
            taught(Settings(balance=balance, **asked), labels=rare)[0], Inputs(rows_of, 2), torch.arange(40)
        )[:, 1].mean()
        for balance in ("none", "weights", "oversample", "undersample")
    ]
    assert min(said[1:]) > 2 * said[0]  # noise is taken for the rare class more often where it counts as much


class Narrow(nn.Module):
    """A net that has no memory for more than `most` pictures at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.layer, self.most = linear(), most

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.layer(x)


def test_a_batch_too_large_for_memory_is_taken_in_parts() -> None:
    asked = Settings(epochs=5, batch=20, optimizer="sgd", lr=0.3)
    wide, plain = taught(asked)
    narrow, fitted = taught(asked, Narrow(6))
    assert torch.allclose(wide.weight, narrow.layer.weight, atol=1e-5)
    assert fitted.losses == pytest.approx(plain.losses, abs=1e-5)
    assert fitted.notes == [
        "a batch of 20 pictures does not fit in memory: it was taken in 4 parts whose gradients add up; "
        "batch normalisation and dropout see the parts"
    ]
    assert plain.notes == []
    found = predict(narrow, Inputs(rows_of, 2), torch.arange(40))
    assert torch.allclose(found, predict(wide, Inputs(rows_of, 2), torch.arange(40)), atol=1e-5)
    with pytest.raises(ShortOfMemory, match="no memory for a single picture"):
        taught(asked, Narrow(0))


def test_a_failed_attempt_leaves_no_mark_on_statistics() -> None:
    class Normed(Narrow):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.norm(x))

    nets = []
    for most in (10, 40):
        net = Normed(most)
        net.norm = nn.BatchNorm1d(4)
        taught(Settings(epochs=1, batch=20, lr=1e-9), net)
        nets.append(net)
    assert (
        nets[0].norm.num_batches_tracked == 4
    )  # two steps of two parts; the attempt that failed left nothing
    assert nets[1].norm.num_batches_tracked == 2


def test_other_errors_are_not_taken_for_memory() -> None:
    class Broken(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        taught(Settings(epochs=1), Broken(4, 2))


def test_early_stopping_takes_the_best_epoch_and_the_default_the_last() -> None:
    """Val says the opposite of train: it gets worse from the first epoch on."""
    val = Validation(torch.arange(40), 1 - CLASSES)
    results = []
    for patience in (0, 3):
        net = linear()
        asked = Settings(epochs=12, batch=8, lr=0.05, patience=patience)
        fitted = fit(net, Inputs(rows_of, 2), torch.arange(40), CLASSES, asked, 0, val=val)
        results.append((net, fitted))
    (last, whole), (best, stopped) = results
    assert (len(whole.losses), len(stopped.losses)) == (12, 4)
    assert min(stopped.val) == stopped.val[0]
    one = taught(Settings(epochs=12, batch=8, lr=0.05, patience=0))[0]
    assert torch.equal(one.weight, last.weight)  # measuring changes nothing
    assert not torch.equal(best.weight, last.weight)
    assert [loss for loss, _ in stopped.val] == sorted(loss for loss, _ in stopped.val)


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    """Val is partly mislabelled: it gets better until the net is too sure of itself."""
    flipped = torch.where(torch.arange(40) % 4 == 0, 1 - CLASSES, CLASSES)
    asked = Settings(epochs=40, batch=8, lr=0.05, schedule="constant", warmup=0.0, patience=4)
    net = linear()
    val = Validation(torch.arange(40), flipped)
    fitted = fit(net, Inputs(rows_of, 2), torch.arange(40), CLASSES, asked, 0, val=val)
    losses = [loss for loss, _ in fitted.val]
    best = losses.index(min(losses)) + 1
    assert 1 < best == len(losses) - 4 < 36
    until, _ = taught(dataclasses.replace(asked, epochs=best, patience=0))
    assert torch.equal(net.weight, until.weight)


class TwoHeads(nn.Module):
    """Scores and an auxiliary output, as Inception gives them in training."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.aux = linear(), linear()

    def forward(self, x: Tensor) -> Sequence[Tensor] | Tensor:
        return (self.main(x), self.aux(x)) if self.training else self.main(x)


def test_auxiliary_outputs_are_taught_with_their_share() -> None:
    both, fitted = taught(Settings(epochs=1, batch=40, lr=1e-9), TwoHeads())
    _, alone = taught(Settings(epochs=1, batch=40, lr=1e-9))
    assert fitted.losses == pytest.approx([1.4 * alone.losses[0]])
    assert predict(both, Inputs(rows_of, 2), torch.arange(40)).shape == (40, 2)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=5), st.integers(0, 4))
def test_keys_tell_places_apart(numbers: list[int], at: int) -> None:
    other = [*numbers]
    other[at % len(numbers)] += 1
    assert 0 <= key_of(*numbers) < 2**63
    assert key_of(*numbers) != key_of(*other)
    assert key_of(*numbers) & 0xFFFFFFFF != key_of(*numbers, 0) & 0xFFFFFFFF


class Waits(TorchDispatchMode):
    """Counts what the processor would wait for a GPU for: numbers that are read, or that decide a shape."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "masked_select", "equal"):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_nothing_waits_for_the_device_within_an_epoch(optimizer: str) -> None:
    """Twice as many steps, and as many waits: those of the epochs' ends."""

    def mix(x: Tensor, y: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        return parse(("mixup=0.2",)).mix(x, y, 2, chance)

    waits = []
    for batch in (20, 5):
        asked = Settings(
            epochs=2, batch=batch, optimizer=optimizer, clip=1.0, ema=0.9, l1=0.1, label_smoothing=0.1
        )
        with Waits() as mode:
            soft = nn.functional.one_hot(CLASSES).float()  # on the CPU one_hot looks at its input
            inputs = Inputs(rows_of, 2, "bf16", mix)
            fit(linear(), inputs, torch.arange(40), soft, dataclasses.replace(asked, balance="weights"), 0)
        waits.append(len(mode.found))
    assert waits[0] == waits[1] > 0


def test_a_compiled_net_is_taught_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as ever, run without the compiler, which takes half a minute."""
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda net: compiled(net, backend="eager"))
    asked = Settings(epochs=2, batch=8)
    plain, _ = taught(asked)
    traced, _ = taught(dataclasses.replace(asked, compile=True))
    assert torch.equal(plain.weight, traced.weight)
    assert traced.state_dict().keys() == plain.state_dict().keys()


def test_what_a_setting_cannot_do_here_is_one_line() -> None:
    class Failing(nn.Linear):
        error: RuntimeError

        def forward(self, x: Tensor) -> Tensor:
            raise self.error

    net = Failing(4, 2)
    net.error = RuntimeError("pool_backward does not have a deterministic implementation, but you set")
    with pytest.raises(NotDeterministic, match="lite0 cannot be deterministic here"):
        taught(Settings(deterministic=True), net)
    net.error = type("BackendFailed", (RuntimeError,), {"__module__": "torch._dynamo.exc"})("\nno g++\nmore")
    failed = explained(net.error, Settings(compile=True))
    assert isinstance(failed, CompileFailed)
    assert str(failed) == "torch.compile does not work here (no g++); run without --compile"
