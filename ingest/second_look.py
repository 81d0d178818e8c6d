"""The second look: are these two pictures the same picture, when their hashes are close?

Hashes of different garments on one backdrop are as close as those of a photo and its watermarked copy, so
pixels decide. Three steps, cheapest first:

1. A picture with hardly any detail proves nothing and never equals another (white and blue share a hash).
2. Both whole pictures at 64 x 64, less their low frequencies, are correlated: this settles copies that were
   resized, recompressed, brightened or made grey.
3. ORB features are matched and a similarity transform is fitted by RANSAC (cropped, framed, turned or marked
   copies); one picture is laid over the other by it, and the part they share is correlated as in step 2. Many
   inliers need a good correlation, few inliers a very good one: inliers alone reach 46 between different
   garments hung on the same hook.

In steps 2 and 3 colours must agree too, unless one of the pictures is grey.

Thresholds were chosen on 11,014 close pairs of 7,000 pictures: 2,500 CC0 clothing photos at 160 px and 4,500
made copies (outcome in `ingest.duplicates`). There the 2,113 pairs that are not copies reached at most 0.85
in step 2 (accepted from 0.92), and in step 3 0.64 with 35 to 46 inliers, 0.81 with 28 to 34, 0.91 with 9.
Two photos of one garment, taken a moment apart, reached 0.89 with 55 inliers and 0.84 with 93; the median of
their blocks stayed below 0.94, where that of copies is above 0.95 in 98 % (watermarks) and 99.5 % (the rest).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

SIDE = 64
"""Side of the pictures that are correlated, in pixels."""
BLOCKS = 8
WORK_SIDE = 256
"""Long side at which features are found: smaller pictures are enlarged to it."""
MIN_TEXTURED = 6
"""Of 8 x 8 blocks: a picture with fewer that show detail is flat."""
DETAIL = 9.0
"""Mean square of a block's detail, in grey levels, from which it counts as textured."""
WHOLE = (0.92, 0.90)
"""Step 2: least correlation of all detail, and least median of the textured blocks' own correlations."""
ALIGNED = ((30, 0.70, 0.95), (12, 0.85, 0.96))
"""Step 3: (inliers, least correlation, least median); one row must hold. A mark spoils a few blocks and
leaves the median; a second photo of the same scene is a little different everywhere."""
UNSURE = (12, 0.60, 0.80)
"""Below `ALIGNED` and from here on a person should look."""
COLOUR = 22.0
"""Largest distance of colours (Lab a and b, 90th percentile over an 8 x 8 grid) between copies."""
GREY = 4.0
"""Below this mean chroma a picture counts as grey."""


@dataclass(eq=False)
class Look:
    """What the second look keeps of a picture (about 100 KB).

    Attributes:
        small: float32[64, 64], the whole picture's detail: grey less its low frequencies.
        colour: float32[8, 8, 2], Lab a and b.
        work: uint8[h, w, 3], RGB, long side 256.
        points, descriptors: float32[k, 2] and uint8[k, 32], ORB features of `work`, made when asked for.
    """

    small: Floats
    colour: Floats
    work: NDArray[np.uint8]
    _features: tuple[Floats, NDArray[np.uint8]] | None = field(default=None, repr=False)

    @property
    def flat(self) -> bool:
        """Too little detail to tell it from another picture."""
        return int((_block_sums(self.small * self.small) > DETAIL).sum()) < MIN_TEXTURED

    @property
    def features(self) -> tuple[Floats, NDArray[np.uint8]]:
        """ORB points and descriptors of `work`."""
        if self._features is None:
            grey = cv2.cvtColor(self.work, cv2.COLOR_RGB2GRAY)
            points, found = _orb().detectAndCompute(grey, None)
            descriptors = np.empty((0, 32), np.uint8) if found is None else np.asarray(found, np.uint8)
            where: Floats = np.array([p.pt for p in points], np.float32).reshape(-1, 2)
            self._features = where, descriptors
            return where, descriptors
        return self._features


@dataclass(frozen=True)
class Verdict:
    """The second look's outcome.

    Attributes:
        outcome: `copy`, `different` or `unsure`.
        how: the step that settled it: `flat`, `whole`, `aligned`.
        agreement: correlation of the detail, -1 to 1.
        inliers: feature matches that fit one transform (0 where step 3 was not reached).
    """

    outcome: str
    how: str
    agreement: float
    inliers: int


def look(image: Image.Image) -> Look:
    """Prepare an upright RGB picture for comparisons."""
    width, height = image.size
    scale = WORK_SIDE / max(width, height)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    # Pillow's resize is antialiased in both directions, unlike OpenCV's.
    work = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    return Look(_detail(_square(work, SIDE)), _colour(work), work)


def compare(a: Look, b: Look) -> Verdict:
    """Whether two looks show the same picture. Their order matters by rounding only."""
    if a.flat or b.flat:
        return Verdict("different", "flat", 0.0, 0)
    agreement, median = _agreement(a.small, b.small)
    if agreement >= WHOLE[0] and median >= WHOLE[1] and _colours_agree(a.colour, b.colour):
        return Verdict("copy", "whole", agreement, 0)
    return _compare_aligned(a, b)


def _compare_aligned(a: Look, b: Look) -> Verdict:
    transform, inliers = _fit(a, b)
    if transform is None or inliers < ALIGNED[-1][0]:
        return Verdict("different", "aligned", 0.0, inliers)
    shared = _shared_part(a.work, b.work, transform)
    if shared is None:
        return Verdict("different", "aligned", 0.0, inliers)
    one, other = shared
    agreement, median = _agreement(_detail(_square(one, SIDE)), _detail(_square(other, SIDE)))
    if not _colours_agree(_colour(one), _colour(other)):
        return Verdict("different", "aligned", agreement, inliers)
    if any(inliers >= n and agreement >= g and median >= m for n, g, m in ALIGNED):
        return Verdict("copy", "aligned", agreement, inliers)
    unsure = agreement >= UNSURE[1] and median >= UNSURE[2]
    return Verdict("unsure" if unsure else "different", "aligned", agreement, inliers)


@lru_cache(maxsize=1)
def _orb() -> cv2.ORB:
    cv2.setNumThreads(1)  # the work is spread over processes; more threads in each would only get in the way
    return cv2.ORB.create(
        nfeatures=400, scaleFactor=1.2, nlevels=6, edgeThreshold=8, patchSize=24, fastThreshold=8
    )


def _fit(a: Look, b: Look) -> tuple[NDArray[np.float64] | None, int]:
    """Similarity transform (2 x 3) from b's work pixels to a's, and the matches that fit within 3 pixels."""
    points_a, described_a = a.features
    points_b, described_b = b.features
    if len(points_a) < 8 or len(points_b) < 8:
        return None, 0
    matches = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(described_a, described_b, k=2)
    # Lowe's ratio test: a match must be clearly better than the second best.
    good = [m[0] for m in matches if len(m) == 2 and m[0].distance < 0.8 * m[1].distance]
    if len(good) < 6:
        return None, 0
    there = points_a[[m.queryIdx for m in good]]
    here = points_b[[m.trainIdx for m in good]]
    cv2.setRNGSeed(0)  # RANSAC draws: the same pair always gets the same answer
    transform, inside = cv2.estimateAffinePartial2D(
        here, there, method=cv2.RANSAC, ransacReprojThreshold=3, maxIters=500
    )
    if transform is None:
        return None, 0
    return np.asarray(transform, np.float64), int(inside.sum())


def _shared_part(
    a: NDArray[np.uint8], b: NDArray[np.uint8], transform: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """The rectangle of `a` that `b` covers once transformed, from both; None where it is under a quarter."""
    size = a.shape[1], a.shape[0]
    laid = cv2.warpAffine(b, transform, size, flags=cv2.INTER_LINEAR)
    covered = cv2.warpAffine(np.full(b.shape[:2], 255, np.uint8), transform, size) > 250
    rows = np.flatnonzero(covered.mean(axis=1) > 0.5 * covered.mean(axis=1).max())
    columns = np.flatnonzero(covered.mean(axis=0) > 0.5 * covered.mean(axis=0).max())
    if len(rows) < SIDE // 2 or len(columns) < SIDE // 2 or covered.mean() < 0.25:
        return None
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return a[box], np.asarray(laid[box], np.uint8)


def _square(work: NDArray[np.uint8], side: int) -> Floats:
    grey = cv2.cvtColor(work, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _detail(small: Floats) -> Floats:
    """Less the low frequencies, which backdrops share, and the highest, which recompression changes."""
    detail = small - cv2.GaussianBlur(small, (0, 0), 4)
    return np.asarray(cv2.GaussianBlur(detail, (0, 0), 0.7), dtype=np.float32)


def _colour(work: NDArray[np.uint8]) -> Floats:
    lab = cv2.cvtColor(cv2.resize(work, (32, 32), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    grid = cv2.resize(lab, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
    return grid[:, :, 1:].astype(np.float32) - 128.0


def _block_sums(squares: Floats) -> Floats:
    """float32[8, 8]: the mean of each block of a 64 x 64 map."""
    step = SIDE // BLOCKS
    return np.asarray(squares.reshape(BLOCKS, step, BLOCKS, step).mean(axis=(1, 3)), dtype=np.float32)


def _agreement(x: Floats, y: Floats) -> tuple[float, float]:
    """Correlation of two detail maps, and the median of the textured blocks' own correlations."""
    xy, xx, yy = _block_sums(x * y), _block_sums(x * x), _block_sums(y * y)
    textured = np.maximum(xx, yy) > DETAIL
    if int(textured.sum()) < MIN_TEXTURED:
        return 0.0, 0.0
    whole = float(xy.sum() / np.sqrt(float(xx.sum()) * float(yy.sum()) + 1e-9))
    blocks = xy[textured] / np.sqrt(xx[textured] * yy[textured] + 1e-6)
    return whole, float(np.median(blocks))


def _colours_agree(a: Floats, b: Floats) -> bool:
    chroma = [float(np.linalg.norm(c, axis=2).mean()) for c in (a, b)]
    if min(chroma) < GREY:
        return True
    return float(np.percentile(np.linalg.norm(a - b, axis=2), 90)) <= COLOUR
