"""The nodes of a Zarr store under the keys of any store of bytes: object storage, a database."""
