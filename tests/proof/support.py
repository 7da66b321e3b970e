"""Try everything, and print the page of `docs/support.md`.

    python tests/proof/support.py [--output docs/support.md]

Nothing on the page is typed by hand: an array of each dtype and shape goes from each framework into
a file of each format and back, and into Zarr, and so does each kind of payload and of metadata;
each kind of store is asked for all that a store can do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from everything import FORMATS, Kind
from support_zarr import readers, stores, zarr_dtypes, zarr_fields, zarr_shapes
from tried import DTYPES, KNOWN, NAMES, PAYLOADS, SHAPES, held, kept, sample, table, taken, through

from polystore import DiskConfig

__all__ = ["page"]

KINDS = [kind for kind in FORMATS if kind.name != "cupy"]
OF_ARRAYS = [kind for kind in KINDS if kind.name not in ("csv", "json", "text", "roi")]


def by_kind(
    corner: str, kinds: Sequence[Kind], rows: Iterable[tuple[str, Callable[[Kind], str]]]
) -> str:
    body = [(name, [word(kind) for kind in kinds]) for name, word in rows]
    return table(corner, [kind.name for kind in kinds], body)


PAGE = """# Support

Made by `python tests/proof/support.py --output docs/support.md` from a run, and compared with
another run by the tests; not edited by hand.

"yes" is the same shape, dtype and bits after a save and a load, from every framework that holds the
dtype. "-" is the error `UnsupportedPayload`, "lossy" the error `Lossy`: nothing is written then.
What JPEG keeps of the metadata was tried with `JpegOptions`.

`.cupy` and CuPy need a GPU and are not on this page. JAX was asked with its x64 mode on.

## Dtypes in files

{files}

## Dtypes in frameworks

{frameworks}

## Shapes, of uint8

{shapes}

## Metadata

{metadata}

## Payloads

{payloads}

## Zarr: dtypes

A field of a plate is an image. "image, 0.4" is OME-Zarr 0.4, which is Zarr v2; all else is Zarr v3.

{zarr_dtypes}

## Zarr: who else reads the dtypes

The arrays of the first column above, opened by other packages; "yes" is the same bits, "-" an error
of theirs, or other bits.

{readers}

## Zarr: shapes, of uint8

Images were told their axes: the last of t, c, z, y, x.

{zarr_shapes}

## Zarr: payloads and metadata

{zarr_fields}

## Stores

What each kind of store can do with an image of 64 by 64; "objects" is a bucket of S3. "-" is
`UnsupportedOperation`, or, of a folder, that it is no file, no key or not there; of the history,
that it is not noted. Where a store in objects moves, it copies, then deletes.

{stores}
"""


def page() -> str:
    """Try everything, in a folder of its own, and give the page."""
    with tempfile.TemporaryDirectory() as folder:
        disk = DiskConfig(root=folder)
        arrays = {name: sample(dtype) for name, dtype in DTYPES.items()}
        shaped = {name: sample(np.dtype(np.uint8), shape) for name, shape in SHAPES.items()}
        return PAGE.format(
            files=by_kind(
                "dtype",
                OF_ARRAYS,
                ((name, partial(through, array, store=disk)) for name, array in arrays.items()),
            ),
            frameworks=table(
                "dtype",
                NAMES,
                ((name, [held(array, each) for each in NAMES]) for name, array in arrays.items()),
            ),
            shapes=by_kind(
                "shape",
                OF_ARRAYS,
                ((name, partial(through, array, store=disk)) for name, array in shaped.items()),
            ),
            metadata=by_kind(
                "field",
                OF_ARRAYS,
                ((name, partial(kept, store=disk, field=name)) for name in KNOWN.present()),
            ),
            payloads=by_kind(
                "payload",
                KINDS,
                (
                    (name, partial(taken, store=disk, payload=payload))
                    for name, payload in PAYLOADS.items()
                ),
            ),
            zarr_dtypes=zarr_dtypes(f"{folder}/dtypes"),
            readers=readers(folder),
            zarr_shapes=zarr_shapes(f"{folder}/shapes"),
            zarr_fields=zarr_fields(f"{folder}/fields"),
            stores=stores(folder),
        )


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description="Try every format with every framework.")
    parser.add_argument("--output", type=Path, help="write the page here")
    output: Path | None = parser.parse_args().output
    text = page()
    if output is None:
        print(text)
    else:
        output.write_text(text)


if __name__ == "__main__":
    main()
