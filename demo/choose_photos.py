"""Choose the demo's photos from a checkout of the clothing dataset. Not needed to run the demo.

`python -m demo.choose_photos SOURCE` reads `SOURCE/images.csv` (columns image, sender_id, label) and
`SOURCE/images/<image>.jpg`, and writes `demo/photos/*.jpg` and `demo/labels.csv`. The same source gives
the same choice. Photos that look like a second picture of the same garment are left out, because the demo
claims to know which pictures are copies: the ones that it plants, and no others.
"""

import argparse
import csv
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
CATEGORY_OF = {
    "T-Shirt": "t-shirt",
    "Longsleeve": "longsleeve",
    "Pants": "pants",
    "Shoes": "shoes",
    "Shirt": "shirt",
    "Dress": "dress",
    "Outwear": "outwear",
    "Shorts": "shorts",
    "Hat": "hat",
    "Skirt": "skirt",
}
NOISE_LABELS = ("Not sure", "Other")
NOISE = "__none__"
UNFIT = {"e4bee2e0-0ccb"}  # a swear word in large letters: no first impression of a tool
PER_CATEGORY = 260
NOISE_PHOTOS = 200
LONG_SIDE = 160
QUALITY = 84

# A pair is too alike when one of these holds. The bounds were set by looking at the pairs beside them:
# same-sender pairs with 11 or fewer matched points show two garments on one carpet, those with many more
# show one garment twice.
MAX_HASH_DISTANCE = 4
MAX_CORRELATION = 0.97
MIN_MATCHED_POINTS = 12


@dataclass(frozen=True)
class Look:
    """What a photo looks like, in three coarse ways."""

    sender: str
    bits: np.ndarray  # bool[64]: signs of the low DCT terms
    thumbnail: np.ndarray  # float32[576]: 24 x 24 grey, zero mean, unit length
    points: np.ndarray  # float32[n, 2]
    descriptors: np.ndarray | None  # uint8[n, 32]


def look_at(path: Path, sender: str, orb: "cv2.ORB") -> Look:
    """Describe one photo."""
    grey = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("L"))
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    thumbnail = cv2.resize(grey, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    thumbnail -= thumbnail.mean()
    thumbnail /= np.linalg.norm(thumbnail) + 1e-6
    keypoints, descriptors = orb.detectAndCompute(grey, None)
    points = np.array([k.pt for k in keypoints], np.float32).reshape(-1, 2)
    return Look(sender, low > np.median(low), thumbnail, points, descriptors)


def matched_points(one: Look, two: Look) -> int:
    """How many feature points agree on one shift, turn and scale between the two photos."""
    if one.descriptors is None or two.descriptors is None or min(len(one.points), len(two.points)) < 8:
        return 0
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(one.descriptors, two.descriptors, k=2)
    good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < 0.8 * p[1].distance]
    if len(good) < 6:
        return 0
    here = np.array([one.points[m.queryIdx] for m in good])
    there = np.array([two.points[m.trainIdx] for m in good])
    _, inliers = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=4, maxIters=300)
    return 0 if inliers is None else int(inliers.sum())


def too_alike(one: Look, two: Look) -> bool:
    """Whether two photos could be taken for the same picture."""
    distance = int((one.bits != two.bits).sum())
    correlation = float(one.thumbnail @ two.thumbnail)
    if distance <= MAX_HASH_DISTANCE or correlation > MAX_CORRELATION:
        return True
    same_sender = one.sender == two.sender
    worth_matching = (
        distance <= 14 or correlation > 0.88 or (same_sender and (distance <= 18 or correlation > 0.7))
    )
    return worth_matching and matched_points(one, two) >= MIN_MATCHED_POINTS


def wanted_order(rows: list[dict[str, str]]) -> list[tuple[str, list[dict[str, str]]]]:
    """(demo label, its rows in a fixed shuffled order), rarest label first so that it loses fewest photos."""
    by_label: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        label = NOISE if row["label"] in NOISE_LABELS else CATEGORY_OF.get(row["label"])
        if label and row["image"] not in UNFIT:
            by_label.setdefault(label, []).append(row)
    for members in by_label.values():
        members.sort(key=lambda row: hashlib.sha256(row["image"].encode()).digest())
    return sorted(by_label.items(), key=lambda item: (item[0] == NOISE, len(item[1]), item[0]))


def choose(source: Path) -> list[tuple[str, str]]:
    """(image id, demo label) of the chosen photos, sorted by id."""
    with (source / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    cv2.setRNGSeed(1)
    orb = cv2.ORB.create(300)
    chosen: list[tuple[str, str]] = []
    looks: list[Look] = []
    for label, members in wanted_order(rows):
        room = NOISE_PHOTOS if label == NOISE else PER_CATEGORY
        for row in tqdm(members, desc=label, unit="photo", disable=not sys.stderr.isatty()):
            if room == 0:
                break
            look = look_at(source / "images" / f"{row['image']}.jpg", row["sender_id"], orb)
            if any(too_alike(look, other) for other in looks):
                continue
            chosen.append((row["image"], label))
            looks.append(look)
            room -= 1
    return sorted(chosen)


def shrink(path: Path, target: Path) -> None:
    """Write the photo at demo size, upright, without camera data or location."""
    upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    upright.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    clean = Image.frombytes("RGB", upright.size, upright.tobytes())
    clean.save(target, "JPEG", quality=QUALITY, optimize=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Choose the demo's photos.",
        epilog="example: python -m demo.choose_photos ../shared/data/clothing",
    )
    parser.add_argument("source", type=Path, help="folder with images.csv and images/")
    source: Path = parser.parse_args(arguments).source
    if not (source / "images.csv").is_file():
        print(f"{source} has no images.csv: give a checkout of the clothing dataset.", file=sys.stderr)
        return 2
    chosen = choose(source)
    photos = HERE / "photos"
    photos.mkdir(exist_ok=True)
    keep = {f"{image}.jpg" for image, _ in chosen}
    for stale in photos.glob("*.jpg"):
        if stale.name not in keep:
            stale.unlink()
    for image, _ in chosen:
        shrink(source / "images" / f"{image}.jpg", photos / f"{image}.jpg")
    with (HERE / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["photo", "label"])
        writer.writerows(chosen)
    print(f"{len(chosen)} photos, {sum(p.stat().st_size for p in photos.glob('*.jpg')) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
