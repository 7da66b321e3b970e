"""Stores by name: `FileManager`, and how it comes from a file or from variables."""
