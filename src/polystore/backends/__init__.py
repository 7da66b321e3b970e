"""Stores: what a config names, made real; one file per store."""
