"""The ways in which error terms are differentiated, declared once; importing this loads no other library.

Source: Own. `exact` is the derivative as it is; `stop_error` is what the published implementation of Predify (Choksi
et al., NeurIPS 2021, arXiv 2106.02749) differentiates.
"""

from __future__ import annotations

from typing import Literal, get_args

Gradient = Literal["exact", "stop_error"]
"""`exact` differentiates through the error terms, `stop_error` takes them as constants, as Predify does. Neither
changes a logit, only its gradients."""

GRADIENTS: tuple[Gradient, ...] = get_args(Gradient)
