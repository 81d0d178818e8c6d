"""The report's plots, each as SVG text with direct labels; drawn without a screen."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

INK, SOFT, ACCENT = "#1c1e21", "#8a8f98", "#1f5fbf"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "assay",
    "figure.facecolor": "white",
}


def draw(width: float, height: float, paint: Callable[[Axes], None]) -> str:
    """A data URI of an SVG of `width` by `height` inches that `paint` drew on."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
        paint(axes)
        return _uri(figure)


def _uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def thumbnail(pixels: np.ndarray) -> str:
    """A data URI of a small JPEG of uint8[size, size, 3]."""
    buffer = io.BytesIO()
    picture = Image.fromarray(np.array(pixels))
    picture.thumbnail((96, 96))
    picture.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def curve(fit: dict[str, Any]) -> str:
    """Test accuracy against label accuracy: arms with intervals, the fitted curve with its band."""

    def paint(axes: Axes) -> None:
        x = [100 * (1 - row["label_error"]) for row in fit["fitted"]]
        middle, lo, hi = ([100 * row["top1"][key] for row in fit["fitted"]] for key in ("value", "lo", "hi"))
        axes.fill_between(x, lo, hi, color=ACCENT, alpha=0.12, linewidth=0)
        axes.plot(x, middle, color=ACCENT, linewidth=1.5)
        for point in fit["points"]:
            at, top = 100 * (1 - point["label_error"]), point["top1"]
            hollow = point["arm"].startswith("noise")
            colour = INK if point["fitted"] else SOFT
            ends = [100 * top["lo"], 100 * top["hi"]]
            axes.plot([at, at], ends, color=SOFT if hollow else colour, linewidth=1.2)
            fill = "white" if hollow else colour
            axes.plot(at, 100 * top["value"], "o", color=colour, markerfacecolor=fill, markersize=5.5)
        name_points(axes, fit["points"])
        axes.set_xlabel(
            "label accuracy of the train pictures, % (hollow: errors put in by chance; grey: not fitted)"
        )
        axes.set_ylabel("test accuracy, %")
        axes.margins(x=0.06, y=0.08)

    return draw(7.6, 4.2, paint)


def name_points(axes: Axes, points: Sequence[dict[str, Any]]) -> None:
    """Write each arm beside its point; the good labellings crowd at the right, so theirs go to the margin."""
    places = {p["arm"]: (100 * (1 - p["label_error"]), 100 * p["top1"]["value"]) for p in points}
    right = max(x for x, _ in places.values())
    span = right - min(x for x, _ in places.values()) or 1.0
    crowd = sorted((a for a, (x, _) in places.items() if x > right - 0.15 * span), key=lambda a: places[a][1])

    reach = span, axes.get_ylim()[1] - axes.get_ylim()[0]
    for arms in together({arm: at for arm, at in places.items() if arm not in crowd}, reach):
        # Far right the margin's names begin: those of injected errors go well below their points.
        below = (0, -46) if places[arms[0]][0] > right - 0.4 * span else (7, -13)
        for noise in (False, True):
            named = [arm for arm in arms if arm.startswith("noise") == noise]
            axes.annotate(
                ", ".join(named),
                places[named[0] if named else arms[0]],
                xytext=below if noise else (-7, 7),
                textcoords="offset points",
                ha="right" if not noise else "center" if below[0] == 0 else "left",
                color=SOFT if noise else INK,
            )
    gap = 0.06 * (axes.get_ylim()[1] - axes.get_ylim()[0])
    start = float(np.mean([places[arm][1] for arm in crowd])) - gap * (len(crowd) - 1) / 2
    for step, arm in enumerate(crowd):
        axes.annotate(
            arm,
            places[arm],
            xytext=(right + 0.06 * span, start + gap * step),
            va="center",
            arrowprops={"arrowstyle": "-", "color": SOFT, "linewidth": 0.7, "shrinkB": 4},
            annotation_clip=False,
            color=INK,
        )


def together(places: dict[str, tuple[float, float]], reach: tuple[float, float]) -> list[list[str]]:
    """Arms whose points lie so close that their names would cover each other; `reach`: of the axes."""
    groups: list[list[str]] = []
    for arm, (x, y) in sorted(places.items(), key=lambda item: item[1]):
        for group in groups:
            at = places[group[0]]
            if abs(x - at[0]) < 0.12 * reach[0] and abs(y - at[1]) < 0.05 * reach[1]:
                group.append(arm)
                break
        else:
            groups.append([arm])
    return groups


def confusion(matrix: np.ndarray, names: Sequence[str]) -> str:
    """Rows: the reference; columns: the prediction; percent of each row written in the cell."""

    def paint(axes: Axes) -> None:
        share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("reference")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if len(names) > 20:
            return
        for row, column in np.argwhere(share >= 0.5):
            value = share[row, column]
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", color="white" if value > 60 else INK
            )

    side = min(8.0, 2.2 + 0.45 * len(names))
    return draw(side + 0.6, side, paint)


def reliability(lines: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> str:
    """Accuracy against confidence; `lines`: label -> count, mean confidence and accuracy of each bin."""

    def paint(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], color=SOFT, linewidth=1, linestyle=":")
        for at, ((label, (count, confidence, accuracy)), colour) in enumerate(
            zip(lines.items(), (ACCENT, INK), strict=False)
        ):
            filled = count > 0
            axes.plot(
                100 * confidence[filled],
                100 * accuracy[filled],
                "o-",
                color=colour,
                markersize=3.5,
                linewidth=1.2,
            )
            axes.text(0.04, 0.95 - 0.07 * at, label, color=colour, transform=axes.transAxes)
        axes.set_xlim(0, 102)
        axes.set_ylim(0, 102)
        axes.set_xticks(range(0, 101, 20))
        axes.set_xlabel("confidence, %")
        axes.set_ylabel("accuracy, %")

    return draw(4.4, 3.6, paint)


def losses(lines: dict[str, np.ndarray]) -> str:
    """Training loss by epoch, mean over seeds; `lines`: arm -> float[epochs]."""
    return _by_epoch(lines, "training loss, nats", from_zero=True)


def accuracies(lines: dict[str, np.ndarray]) -> str:
    """Accuracy on val pictures by epoch, mean over seeds; `lines`: arm -> float[epochs], 0 to 1."""
    return _by_epoch({arm: 100 * values for arm, values in lines.items()}, "val accuracy, %", from_zero=False)


def _by_epoch(lines: dict[str, np.ndarray], what: str, from_zero: bool) -> str:
    """A line for each arm with its name at the end."""

    def paint(axes: Axes) -> None:
        ends = sorted(lines.items(), key=lambda item: float(item[1][-1]))
        low = 0.0 if from_zero else min(float(values.min()) for values in lines.values())
        high = max(float(values.max()) for values in lines.values())
        gap, last = 0.055 * (high - low), -np.inf
        for arm, values in ends:
            x = np.arange(1, len(values) + 1)
            colour = SOFT if arm.startswith("noise") else INK
            axes.plot(x, values, color=colour, linewidth=1.1)
            last = max(float(values[-1]), last + gap)  # labels of close lines are moved apart
            axes.text(x[-1] + 0.02 * len(x), last, arm, color=colour, va="center")
        axes.set_ylim(low, high + 0.03 * (high - low) or None)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel(what)

    return draw(5.6, 3.4, paint)
