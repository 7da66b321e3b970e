"""Frameworks: their arrays to host arrays and back; one file per framework."""
