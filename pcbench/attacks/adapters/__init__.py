"""What attacks of all libraries share; `select` in `registry.py` makes the adapter that a definition asks for."""
