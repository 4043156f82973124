"""All readers that are tried."""

from __future__ import annotations

from fuzz import definitions, pictures, saved, tables, tensors, words

READERS = [*definitions.READERS, *saved.READERS, *tables.READERS, *tensors.READERS, *pictures.READERS, *words.READERS]
