"""Attacks: definitions as data, adapters to libraries, sweeps over budgets, and the checks that they are honest."""
