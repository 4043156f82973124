"""Faster forms of operations that a network is made of; `choosing.choose` says which is used, the plain form or one."""
