"""Figures and pages, made from the tables of finished runs alone: no model is loaded here, and nothing is computed."""
