"""A small plate to try things on: synthetic fluorescence microscopy, the same at every run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polystore.configs import DiskConfig, TiffOptions
from polystore.core.item import Item
from polystore.core.outcome import Outcome, Success, is_successful
from polystore.steps.save import save

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from polystore.core.item import Saved
    from polystore.core.payload import HostArray

__all__ = ["make_plate", "plate_images"]

FOLDER = "Plate 1"
SIDE = 256  # pixels
WELLS = tuple(f"{row}{column:02}" for row in "AB" for column in (1, 2, 3))
COMPRESSED = (f"{FOLDER}/A02 DAPI.tif", f"{FOLDER}/A02 GFP.tif")


def make_plate(disk: DiskConfig) -> Outcome[tuple[Saved, ...]]:
    """Save the plate through polystore, in a folder of its own; give what was saved.

    14 files of about 2 MB in all: 2 rows x 3 columns of wells in 2 channels as TIFF (`DAPI` uint16,
    `GFP` uint8; those of A02 deflated), an RGB overlay as PNG, and a float32 stack as `.npy`. The
    names have a space and capitals, as those of microscopes do. The errors are those of `save`.

    >>> import tempfile
    >>> plate = make_plate(DiskConfig(root=tempfile.mkdtemp())).unwrap()
    >>> len(plate), plate[0].key
    (14, 'Plate 1/A01 DAPI.tif')
    """
    done: list[Saved] = []
    for key, image in plate_images():
        options = TiffOptions(compression="deflate") if key in COMPRESSED else None
        saved = save(disk, options=options)(Item(key, image))
        if not is_successful(saved):
            return saved.map(lambda one: (one,))
        done.append(saved.unwrap())
    return Success(tuple(done))


def plate_images() -> Iterator[tuple[str, HostArray]]:
    """Give each image of the plate with its key, made when asked for.

    >>> key, image = next(plate_images())
    >>> key, image.shape, image.dtype.name
    ('Plate 1/A01 DAPI.tif', (256, 256), 'uint16')
    """
    import numpy as np

    for number, well in enumerate(WELLS):
        nuclei, cells = _well(number, defocus=0)
        yield f"{FOLDER}/{well} DAPI.tif", (nuclei * 4000 + 200).astype(np.uint16)
        yield f"{FOLDER}/{well} GFP.tif", np.clip(cells * 160 + 12, 0, 255).astype(np.uint8)
    nuclei, cells = _well(1, defocus=0)
    colours = np.stack([nuclei * 0.1, cells, nuclei], axis=-1)
    yield f"{FOLDER}/A02 Overlay.png", np.clip(colours * 200, 0, 255).astype(np.uint8)
    planes = [_well(5, defocus=z)[1] for z in (-2, -1, 0, 1, 2)]
    yield f"{FOLDER}/B03 Stack.npy", np.stack(planes).astype(np.float32)


def _well(number: int, defocus: int) -> tuple[HostArray, HostArray]:
    """Give the nuclei and the cells of a well, each of about 0 to 1, with noise.

    Row A is sparse and row B crowded; GFP grows brighter from column 1 to 3, as with a dose.
    """
    import numpy as np

    rng = np.random.default_rng(number)
    nuclei, cells = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    row, column = divmod(number, 3)
    for _ in range((18, 40)[row]):
        y, x = rng.uniform(0, SIDE, 2)
        radius, stretch, angle = rng.uniform(4, 7), rng.uniform(1, 1.6), rng.uniform(0, np.pi)
        radius += 1.5 * abs(defocus)
        nuclei += rng.uniform(0.5, 1) * _spot((y, x), (radius, radius * stretch), angle)
        cells += rng.uniform(0.3, 1) * _spot((y, x), (1.5 * radius, 2 * radius * stretch), angle)
    dose = (0.3, 0.65, 1.0)[column]
    noise = rng.normal(0, 0.02, (2, SIDE, SIDE))
    return np.clip(nuclei + noise[0], 0, None), np.clip(cells * dose + noise[1], 0, None)


def _spot(centre: tuple[float, float], sigma: tuple[float, float], angle: float) -> HostArray:
    """Give a Gaussian of height 1, its axes turned by the angle."""
    import numpy as np

    y, x = np.ogrid[:SIDE, :SIDE]
    dy, dx = y - centre[0], x - centre[1]
    along = dy * np.cos(angle) + dx * np.sin(angle)
    across = dx * np.cos(angle) - dy * np.sin(angle)
    spot: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.exp(
        -((along / sigma[1]) ** 2 + (across / sigma[0]) ** 2) / 2
    )
    return spot
