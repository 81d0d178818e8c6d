"""Near-copies of a photo, as other sites would have published them: the same bytes for the same arguments."""

import io
import random

from PIL import Image, ImageDraw, ImageFont

KINDS = ("resized", "recompressed", "cropped", "watermarked")


def make_copy(original: bytes, kind: str, seed: int, name: str) -> bytes:
    """JPEG bytes of a near-copy.

    `kind`: resized (60 to 150 % of the size), recompressed (quality 30 to 60), cropped (3 to 5 % off
    the width and the height) or watermarked (pale text across the lower part). Equal arguments draw
    equal parameters. Raises ValueError for another kind.
    """
    rng = random.Random(f"{seed}|{name}|{kind}")
    with Image.open(io.BytesIO(original)) as opened:
        picture = opened.convert("RGB")
    quality = 85
    if kind == "resized":
        picture = _resized(picture, rng)
    elif kind == "recompressed":
        quality = rng.randint(30, 60)
    elif kind == "cropped":
        picture = _cropped(picture, rng)
    elif kind == "watermarked":
        picture = _watermarked(picture, rng)
    else:
        raise ValueError(f"unknown kind of copy {kind!r}: one of {', '.join(KINDS)}")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _resized(picture: Image.Image, rng: random.Random) -> Image.Image:
    scale = rng.uniform(0.6, 0.9) if rng.random() < 0.5 else rng.uniform(1.1, 1.5)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _cropped(picture: Image.Image, rng: random.Random) -> Image.Image:
    across = picture.width * rng.uniform(0.03, 0.05)
    down = picture.height * rng.uniform(0.03, 0.05)
    left, top = across * rng.random(), down * rng.random()
    right, bottom = picture.width - (across - left), picture.height - (down - top)
    return picture.crop((round(left), round(top), round(right), round(bottom)))


def _watermarked(picture: Image.Image, rng: random.Random) -> Image.Image:
    text = rng.choice(["stockphoto", "(c) gallery", "SAMPLE", "closet-pics"])
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    font = ImageFont.load_default(size=max(10, picture.width // 9))
    place = (picture.width * rng.uniform(0.05, 0.35), picture.height * rng.uniform(0.55, 0.85))
    ImageDraw.Draw(layer).text(place, text, font=font, fill=(255, 255, 255, rng.randint(120, 190)))
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")
