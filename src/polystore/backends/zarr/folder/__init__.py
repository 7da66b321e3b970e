"""The nodes of a Zarr store in a folder of this machine."""
