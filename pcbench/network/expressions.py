"""Modules written as text, such as ``"Sequential(ConvTranspose2d(64, 3, 5, padding=2), ReLU())"``, read safely.

Nothing is evaluated: the text is parsed, and only constructors of `torch.nn` with literal arguments are called.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from pcbench.errors import ConfigurationError, first_line

_NAMESPACES = ("torch.nn", "nn")


def imported_names(imports: Iterable[str]) -> dict[str, str]:
    """Read import lines into the names they bring in.

    Args:
        imports: Lines such as ``"from torch.nn import Sequential, ReLU as Rectifier"`` or ``"import torch.nn as nn"``.

    Returns:
        For every name of a class that the lines import, its name in `torch.nn`. Lines that import `torch` or
        `torch.nn` as a whole add nothing: ``torch.nn.X`` and ``nn.X`` are always understood.

    Raises:
        ConfigurationError: A line imports something else, or is not an import.
    """
    names: dict[str, str] = {}
    for line in imports:
        try:
            statements = ast.parse(" ".join(line.split())).body
        except SyntaxError:
            statements = []
        if not statements:
            raise ConfigurationError(f"imports: {line!r} is not an import; write: from torch.nn import ConvTranspose2d")
        for statement in statements:
            names.update(_names_of(statement, line))
    return names


def _names_of(statement: ast.stmt, line: str) -> dict[str, str]:
    if isinstance(statement, ast.ImportFrom) and statement.module == "torch.nn":
        return {alias.asname or alias.name: alias.name for alias in statement.names if alias.name != "*"}
    whole = isinstance(statement, ast.Import) and all(a.name in ("torch", "torch.nn") for a in statement.names)
    package = isinstance(statement, ast.ImportFrom) and statement.module == "torch" and statement.names[0].name == "nn"
    if whole or package:
        return {}
    raise ConfigurationError(f"imports: {line!r} is refused; predictors are made of torch.nn layers only")


def build_module(text: str, imports: Mapping[str, str] | None = None) -> nn.Module:
    """Build the module that a text describes.

    Args:
        text: Calls of `torch.nn` classes, nested as positional arguments, with literals (numbers, strings, booleans,
            None, tuples, lists) for everything else.
        imports: Names that stand for classes of `torch.nn`, from `imported_names`.

    Returns:
        The module, freshly initialised by PyTorch.

    Raises:
        ConfigurationError: The text is not such an expression, or PyTorch refuses the arguments.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError):
        raise ConfigurationError(
            f"{text!r} is not an expression; write: Sequential(ConvTranspose2d(8, 3, 3), ReLU())"
        ) from None
    return _module(tree.body, dict(imports or {}))


def _module(node: ast.expr, imports: Mapping[str, str]) -> nn.Module:
    if not isinstance(node, ast.Call):
        raise ConfigurationError(f"{ast.unparse(node)!r} is not a layer; write a call such as ReLU()")
    if any(keyword.arg is None for keyword in node.keywords):
        raise ConfigurationError(f"{ast.unparse(node)!r}: write the arguments out, without **")
    layer = _layer_class(node.func, imports)
    arguments = [_argument(argument, imports) for argument in node.args]
    options = {str(keyword.arg): _argument(keyword.value, imports) for keyword in node.keywords}
    try:
        return layer(*arguments, **options)
    except Exception as error:
        problem = first_line(error)
        raise ConfigurationError(f"{ast.unparse(node)!r} is refused by PyTorch: {problem}") from error


def _argument(node: ast.expr, imports: Mapping[str, str]) -> Any:
    if isinstance(node, ast.Call):
        return _module(node, imports)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ConfigurationError(
            f"{ast.unparse(node)!r} is not a literal; arguments are numbers, strings, tuples and layers"
        ) from None


def _layer_class(node: ast.expr, imports: Mapping[str, str]) -> type[nn.Module]:
    text = ast.unparse(node)
    namespace, _, name = text.rpartition(".")
    if namespace and namespace not in _NAMESPACES:
        raise ConfigurationError(f"{text!r} is refused; predictors are made of torch.nn layers only")
    if not namespace:
        name = imports.get(name, name)
    found = getattr(nn, name, None) if re.fullmatch(r"[A-Z]\w*", name) else None
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ConfigurationError(f"torch.nn has no layer {text!r}")
    return found
