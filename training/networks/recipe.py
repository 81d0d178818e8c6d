"""From the settings to nets: read and checked once, built for every pair."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from training.backbone import Backbone, Pooled, lite0_weights
from training.networks import weights, zoo
from training.networks.parts import freeze, head_names, swap
from training.settings import AUTO, NONE, Settings


@dataclass(frozen=True)
class Recipe:
    """How the nets of a run are made. `state`: weights to start from, or None. `digest`: which those are."""

    model: str
    classes: int
    size: int
    stem: str
    dropout: float | None
    taught: str
    state: dict[str, Tensor] | None
    source: str
    digest: str

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of the three colours, 0 to 255."""
        return zoo.normalisation(self.model)

    def fresh(self) -> nn.Module:
        """A net to train; where it is not given weights, they come from torch's global generator."""
        net = zoo.build(self.model, self.classes, self.size, self.stem, self.dropout)
        if self.state is not None:
            weights.adopt(net, self.state, self.model, self.source)
        freeze(net, self.taught)
        return net

    def trunk(self) -> nn.Module:
        """The frozen net up to its head's input: normalised pictures to float[n, width]."""
        net = zoo.build(self.model, self.classes, self.size, self.stem, None)
        assert self.state is not None
        weights.adopt(net, self.state, self.model, self.source)
        freeze(net, "head")
        swap(net, head_names(net)[0], nn.Identity())
        if self.model == zoo.FROZEN:
            net = Pooled(net)
        return net.requires_grad_(False).eval()

    def backbone(self) -> Backbone:
        """The same for pictures from 0 to 255."""
        return Backbone(self.trunk(), *self.normalisation)


def recipe_for(settings: Settings, classes: int) -> Recipe:
    """Read the weights and try everything that can be wrong before the first epoch.

    Raises:
        NetworkError: one line for the user. DownloadError, BackboneError.
    """
    model, asked = settings.model, settings.weights
    zoo.check(model, settings.size)
    state, source = None, asked
    if asked == AUTO and model == zoo.FROZEN:
        state, source = lite0_weights(), "of lite0"
    elif asked not in (AUTO, NONE):
        state = weights.read(asked, model)
    recipe = recipe_of(settings, classes, state, source, weights.digest_of(asked))
    if recipe.taught != "all" and state is None:
        raise zoo.NetworkError(
            f"train {recipe.taught} leaves the rest of {model} as it is, and it has no weights yet; "
            "give --weights"
        )
    if state is not None:
        recipe.fresh()  # weights of another shape are refused here
    return recipe


def recipe_of(
    settings: Settings, classes: int, state: dict[str, Tensor] | None, source: str = "", digest: str = ""
) -> Recipe:
    """The recipe with weights that were read before, such as those of a finished run."""
    return Recipe(
        model=settings.model,
        classes=classes,
        size=settings.size,
        stem=zoo.stem_for(settings.model, settings.size, settings.stem, state),
        dropout=settings.dropout,
        taught="head" if settings.head_only else "all" if settings.train == AUTO else settings.train,
        state=state,
        source=source,
        digest=digest,
    )
