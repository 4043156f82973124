"""Comparing runs, the gate, references, and how their results are printed."""
