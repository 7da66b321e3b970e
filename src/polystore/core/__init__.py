"""Values and records; no I/O, nothing heavy."""
