"""The nouns that rooms share. Plain frozen data: no I/O, no clock, no behaviour beyond validation."""
