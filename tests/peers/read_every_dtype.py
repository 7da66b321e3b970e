"""Read every array of a folder: `... zarr|zarrs|tensorstore FOLDER`; a digest of each is printed.

What a reader refuses, or gives in another shape, is left out.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np

import_module("ml_dtypes")  # whose dtypes NumPy then knows


def read(reader: str, path: Path) -> object:
    if reader == "tensorstore":
        tensorstore = import_module("tensorstore")
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
        return tensorstore.open(spec).result().read().result()
    zarr = import_module("zarr")
    if reader == "zarrs":
        import_module("zarrs")
        zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    return zarr.open_array(str(path), mode="r")[...]


warnings.simplefilter("ignore")
reader, folder = sys.argv[1:]
said: dict[str, str] = {}
for path in sorted(Path(folder).iterdir()):
    if not (path / "zarr.json").is_file():
        continue
    try:
        array = np.asarray(read(reader, path))
    except Exception:  # noqa: BLE001, S112 - what a reader raises is its own affair
        continue
    native = array.astype(array.dtype.newbyteorder("="))
    said[path.name] = hashlib.sha256(native.tobytes()).hexdigest()
print(json.dumps(said))
