"""Extraction: the values inside a network at every timestep, written to files, by the machinery of a run."""
