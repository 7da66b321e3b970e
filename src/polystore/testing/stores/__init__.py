"""The laws of stores, of bytes or of items, and what they are tried with."""
