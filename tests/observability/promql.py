"""What a query asks for, taken from its syntax tree."""

from collections.abc import Iterator
from dataclasses import dataclass

import promql_parser
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)


@dataclass(frozen=True)
class Selector:
    """A metric with its matchers, and the function that is applied to its range, if any.

    `asked` is the selector, or that function's call, as a query of its own.
    """

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    function: str | None
    asked: str


OPERATORS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


def selectors(query: str) -> list[Selector]:
    """Every selector of a query. Raises ValueError where it is no PromQL."""
    return list(_found(promql_parser.parse(query), None))


def _found(node: object, call: Call | None) -> Iterator[Selector]:
    match node:
        case VectorSelector():
            yield _selector(node, None)
        case MatrixSelector():
            yield _selector(node.vector_selector, call)
        case Call():
            for argument in node.args:
                yield from _found(argument, node)
        case AggregateExpr():
            yield from _found(node.param, None)
            yield from _found(node.expr, None)
        case BinaryExpr():
            yield from _found(node.lhs, None)
            yield from _found(node.rhs, None)
        case ParenExpr() | UnaryExpr() | SubqueryExpr():
            yield from _found(node.expr, call)


def _selector(node: VectorSelector, call: Call | None) -> Selector:
    matchers = tuple((m.name, OPERATORS[str(m.op)], m.value) for m in node.matchers.matchers)
    return Selector(node.name or "", matchers, call and call.func.name, (call or node).prettify())
