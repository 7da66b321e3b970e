"""Read arrays with tensorstore: `... OUT DRIVER=PATH...`; elements as OUT/0.npy."""

from __future__ import annotations

import sys
from importlib import import_module

import numpy as np

tensorstore = import_module("tensorstore")

out, *arguments = sys.argv[1:]
for number, argument in enumerate(arguments):
    driver, _, path = argument.partition("=")
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": path}}
    np.save(f"{out}/{number}.npy", tensorstore.open(spec).result().read().result())
    print(f'"{driver}"')
