"""One file a kind of work: its `compute(unit, inputs, context)` makes the part of a unit."""
