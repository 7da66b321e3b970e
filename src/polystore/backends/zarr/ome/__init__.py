"""OME-Zarr: images with their resolutions, labels, and plates."""
