"""Figures and pages, made only from the tables of finished runs: this room loads no model and computes no result."""
