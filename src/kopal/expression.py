"""Formulas typed by a user, such as "x**4 + x + 2": parsed, checked, computed on NumPy; nothing else is evaluated."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.errors import UsageError

Values = NDArray[np.float64]

FUNCTIONS: Mapping[str, Callable[[Values], Values]] = {"sin": np.sin, "cos": np.cos, "exp": np.exp, "log": np.log}
CONSTANTS: Mapping[str, float] = {"pi": np.pi, "e": np.e}
OPERATORS: Mapping[type[ast.operator], Callable[[Values, Values], Values]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.float_power,
}
MAX_LENGTH = 400


@dataclass(frozen=True)
class Expression:
    """A formula and its variables in alphabetical order."""

    text: str
    variables: tuple[str, ...]
    _tree: ast.expr

    def __call__(self, x: Any) -> Values:
        """The value at x: a number for one variable, else (D, ...) with one row per variable."""
        values = np.asarray(x, np.float64)
        rows = [values] if len(self.variables) == 1 and values.ndim == 0 else list(values)
        if len(rows) != len(self.variables):
            raise UsageError(
                f"{len(rows)} numbers for the {len(self.variables)} variables {', '.join(self.variables)}",
                "one number for each variable, in alphabetical order",
            )
        with np.errstate(all="ignore"):  # whoever asks decides what inf and nan mean
            return np.asarray(_evaluate(self._tree, dict(zip(self.variables, rows, strict=True))), np.float64)


def parse(text: str) -> Expression:
    """A formula of numbers, variables, + - * / **, parentheses, sin, cos, exp, log, pi and e. Raises `UsageError`."""
    if len(text) > MAX_LENGTH:
        raise UsageError(f"a formula of {len(text)} characters", f"at most {MAX_LENGTH}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"cannot read the formula {text!r}", "such as x**4 + x + 2") from error
    names: set[str] = set()
    _check(tree, names, text)
    if not names:
        raise UsageError(f"the formula {text!r} has no variable", "at least one, such as x")
    return Expression(text, tuple(sorted(names)), tree)


def numbers(text: str, variables: Sequence[str]) -> Values:
    """Text such as 1, or 2,1 → one number per variable. Raises `UsageError`."""
    try:
        values = np.array([float(piece) for piece in text.split(",")])
    except ValueError as error:
        raise UsageError(f"cannot read {text!r} as numbers", "such as 1, or 2,1 for two variables") from error
    if len(values) != len(variables) or not np.isfinite(values).all():
        raise UsageError(
            f"the start {text!r} for the variables {', '.join(variables)}", "one finite number for each variable"
        )
    return values.reshape(()) if len(values) == 1 else values


def _check(node: ast.expr, names: set[str], text: str) -> None:
    children: Sequence[ast.expr]
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            children = ()
        case ast.Name(id=name) if name not in FUNCTIONS and not name.startswith("_"):
            names |= {name} - set(CONSTANTS)
            children = ()
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
            children = (left, right)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            children = (operand,)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            children = (argument,)
        case _:
            piece = ast.get_source_segment(text.strip(), node) or type(node).__name__
            raise UsageError(
                f"{piece!r} is not allowed in a formula",
                "numbers, variables, + - * / **, sin, cos, exp, log, pi, e",
            )
    for child in children:
        _check(child, names, text)


def _evaluate(node: ast.expr, values: Mapping[str, Values]) -> Values:
    match node:
        case ast.Constant(value=int() | float() as number):
            try:
                return np.asarray(float(number))
            except OverflowError:
                return np.asarray(np.inf)
        case ast.Name(id=name):
            return values[name] if name in values else np.asarray(CONSTANTS[name])
        case ast.BinOp(left=left, op=operator, right=right):
            return OPERATORS[type(operator)](_evaluate(left, values), _evaluate(right, values))
        case ast.UnaryOp(op=operation, operand=operand):
            inner = _evaluate(operand, values)
            return np.negative(inner) if isinstance(operation, ast.USub) else inner
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return FUNCTIONS[name](_evaluate(argument, values))
        case _:
            raise UsageError(f"{ast.dump(node)} is not a formula", "what `parse` has checked")
