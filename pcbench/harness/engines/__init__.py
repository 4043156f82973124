"""One file an engine: a loop over units, in this process or in others."""
