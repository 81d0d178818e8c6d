"""Augmentation by name, in whole batches on the device: `parse(("flip", "shift=4"))` and call its methods.

| name | what each training picture gets |
|---|---|
| `flip`, `vflip` | mirrored left to right, or top to bottom, half of the time |
| `shift=PX` | moved by up to PX whole pixels each way |
| `crop`, `crop=LOW:HIGH` | a random part of LOW to HIGH (0.08 to 1) of the area, 3:4 to 4:3, scaled to size |
| `rotate=DEG` | turned by up to DEG degrees either way |
| `scale=LOW:HIGH` | zoomed by LOW to HIGH |
| `colour=S` | the next three with the same S |
| `brightness=S`, `contrast=S`, `saturation=S` | each multiplied by 1 - S to 1 + S |
| `hue=S` | all hues turned by up to S (at most 0.5) of the circle |
| `greyscale=P` | without colour, with probability P |
| `randaugment=N:M` | N of RandAugment's operations of magnitude M (0 to 30) |
| `erase=P` | a random rectangle covered, with probability P |
| `mixup=ALPHA`, `cutmix=ALPHA` | mixed with another picture, and so are their labels; of two, one per batch |

All is drawn from one `torch.Generator` of the batch's device, as many numbers for every batch of a size, so
what a picture gets depends on the seed and never on the labels. Pictures outside of training see none of it.
What moves pixels (flips to scale, and RandAugment's shears, shifts and turns) becomes one affine map a
picture, so that it is resampled once; then follow RandAugment's other operations, colours and erasing.
"""

from training.augment.augmentation import Augmentation
from training.augment.names import AugmentError, parse

__all__ = ["AugmentError", "Augmentation", "parse"]
