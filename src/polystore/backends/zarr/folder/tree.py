"""A folder of this machine as a tree of Zarr nodes.

Each node is a folder that is built hidden and moved into place in one step (`building`). A reader
opens the folder once, and reads everything by that descriptor; where something is missing because
the folder has been replaced meanwhile, it begins again with the new one (`reading`). Some files of
a node are replaced in one step, too (`patching`), and so are the attributes of a group
(`amending`).
"""

from __future__ import annotations

from functools import partial

from polystore.backends.filelock import file_lock
from polystore.backends.zarr.folder.amending import amend
from polystore.backends.zarr.folder.building import build, copy_in, make_group
from polystore.backends.zarr.folder.listing import list_children, list_items
from polystore.backends.zarr.folder.moving import move_node
from polystore.backends.zarr.folder.patching import patch
from polystore.backends.zarr.folder.reading import hold, link_of, read
from polystore.backends.zarr.folder.removing import delete_node
from polystore.backends.zarr.tree import Tree
from polystore.configs import ZarrConfig

__all__ = ["folder_tree"]


def folder_tree(config: ZarrConfig) -> Tree:
    """Give the tree of the nodes below the root of a config: nothing is open in it."""
    return Tree(
        read=partial(read, config),
        hold=partial(hold, config),
        build=partial(build, config),
        patch=partial(patch, config),
        amend=partial(amend, config),
        copy_in=partial(copy_in, config),
        link=partial(link_of, config),
        list=partial(list_items, config),
        children=partial(list_children, config),
        make_folder=partial(make_group, config),
        delete=partial(delete_node, config),
        move=partial(move_node, config),
        lock=lambda key, seconds: file_lock(config.root, key, seconds, config),
    )
