"""What pcbench finds on a machine, and what to do about what is wrong.

It needs few libraries itself, so that it can tell of the others.
"""
