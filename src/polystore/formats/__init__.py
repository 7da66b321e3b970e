"""Codecs: buffers to payload and back, pure; one file per format, or a folder."""
