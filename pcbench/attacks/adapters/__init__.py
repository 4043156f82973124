"""One small adapter for each attack library; `select` in `registry.py` picks the one a definition asks for."""
