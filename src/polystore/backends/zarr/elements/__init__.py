"""The elements of one array: its grid of chunks and shards, its codecs, reading and writing."""
