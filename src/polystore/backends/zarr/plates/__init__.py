"""OME-Zarr plates: wells of fields, each an OME-Zarr image."""
