"""Corruptions: the 19 of ImageNet-C and CIFAR-10-C, their suites, and two backends that make them.

A suite is a folder of TOML files (`definitions`); the functions they name are in `noise`, `blur`, `weather` and
`digital`, and `functions` lists them; `engine` runs them image by image, seeded per image (`randomness`); `api` is
what the rest of the program calls.
"""
