"""CSV tables with typed columns: the codec is in `codec.py`."""

from polystore.formats.csv.codec import CSV_CODEC

__all__ = ["CSV_CODEC"]
