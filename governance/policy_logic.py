"""What can be decided about CEL expressions without evaluating them: whether one can be true at all, and whether one implies others.

Understood are comparisons of numbers, texts and truth values with each other and with constants, ``in`` with a list of texts, and their
combination by ``&&``, ``||``, ``!`` and parentheses. Numbers are compared exactly, as differences of two (a negative cycle of bounds is a
contradiction). Everything else (arithmetic, functions, macros, ``has``) is a truth value of which nothing is known: it can hide a
contradiction, and never makes one up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

MAX_CLAUSES = 256
"""Alternatives that are followed; beyond them nothing is said."""

_TOKEN = re.compile(
    r"\s*(?P<text>'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")"
    r"|\s*(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?u?)"
    r"|\s*(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"
    r"|\s*(?P<sign>&&|\|\||==|!=|<=|>=|[-!<>()\[\]{},?:+*/%.])"
)
_COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}
_ENDS = {"&&", "||", ")"}
_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_TURNED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
ZERO = ""
"""The number nought, as a variable among the others."""


class Undecided(Exception):
    """Too many alternatives to follow."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression; ``kind`` is ``text``, ``number``, ``name`` or ``sign``."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Atom:
    """A part that is not combined of others; ``source`` is its text."""

    source: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    part: Tree


@dataclass(frozen=True, slots=True)
class Both:
    """Conjunction, or with ``any`` disjunction."""

    parts: tuple[Tree, ...]
    any: bool = False


Tree = Atom | Not | Both


@dataclass(frozen=True, slots=True)
class Below:
    """``left - right <= bound``, or ``<`` where strict."""

    left: str
    right: str
    bound: Fraction
    strict: bool


@dataclass(frozen=True, slots=True)
class OneOf:
    """A text that is one of some, or is none of them."""

    name: str
    values: frozenset[str]
    holds: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """A truth value; ``opaque`` where it stands for something that is not understood and may even fail."""

    name: str
    holds: bool
    opaque: bool = False


Literal = Below | OneOf | Truth
Clause = tuple[Literal, ...]


def parse(source: str) -> Tree:
    """The tree of an expression that compiles; what is not understood becomes one atom."""
    tokens = _tokens(source)
    if any(token.text in {"?", ":"} for token in tokens):
        return _atom(source, tokens)
    tree, rest = _any(source, tokens, 0)
    return tree if rest == len(tokens) else _atom(source, tokens)


def atoms(tree: Tree) -> Iterator[Atom]:
    """Every atom of a tree, from left to right."""
    if isinstance(tree, Atom):
        yield tree
    elif isinstance(tree, Not):
        yield from atoms(tree.part)
    else:
        for part in tree.parts:
            yield from atoms(part)


@dataclass(frozen=True)
class Logic:
    """What is known of the names that expressions use.

    Attributes:
        kinds: ``number``, ``text``, ``truth`` by name; other names are not understood.
        fixed: numbers that are known.
        known: what holds besides: bounds of numbers, relations between them.
    """

    kinds: Mapping[str, str]
    fixed: Mapping[str, Fraction]
    known: tuple[Below, ...] = ()

    def clauses(self, tree: Tree, *, negated: bool = False) -> list[Clause]:
        """The alternatives under which it is true (or, negated, false); none when it never is.

        Raises:
            Undecided: there are too many.
        """
        if isinstance(tree, Not):
            return self.clauses(tree.part, negated=not negated)
        if isinstance(tree, Atom):
            return self._literals(tree, negated)
        parts = [self.clauses(part, negated=negated) for part in tree.parts]
        if tree.any != negated:
            return _few([clause for part in parts for clause in part])
        return self.together(parts)

    def together(self, parts: Iterable[Sequence[Clause]]) -> list[Clause]:
        """The alternatives under which all parts are true.

        Raises:
            Undecided: there are too many.
        """
        found: list[Clause] = [()]
        for part in parts:
            found = _few([(*one, *other) for one, other in product(found, part) if self.possible((*one, *other))])
        return found

    def possible(self, clause: Clause) -> bool:
        """Whether nothing in it contradicts."""
        return _truths_agree(clause) and _texts_agree(clause) and self._numbers_agree(clause)

    def opaque(self, tree: Tree) -> bool:
        """Whether something in it is not understood, and so may fail."""
        return any(
            isinstance(one, Truth) and one.opaque for atom in atoms(tree) for clause in self._literals(atom, False) for one in clause
        )

    def _literals(self, atom: Atom, negated: bool) -> list[Clause]:
        tokens = atom.tokens
        texts = [token.text for token in tokens]
        if texts in (["true"], ["false"]):
            return [()] if (texts == ["true"]) != negated else []
        if len(tokens) == 1 and self.kinds.get(texts[0]) == "truth":
            return [(Truth(texts[0], not negated),)]
        if len(tokens) >= 3 and texts[1] == "in":
            found = self._member(tokens, negated)
            if found is not None:
                return found
        sides = _sides(tokens)
        found = None if sides is None else self._compared(*sides, negated=negated)
        return [(Truth(" ".join(texts), not negated, opaque=True),)] if found is None else found

    def _member(self, tokens: tuple[Token, ...], negated: bool) -> list[Clause] | None:
        texts = [token.text for token in tokens]
        if tokens[0].kind == "text" and len(tokens) == 3 and self.kinds.get(texts[2]) == "list":
            return [(Truth(f"{_unquoted(texts[0])!r} in {texts[2]}", not negated),)]
        inside = tokens[3:-1]
        if texts[2] != "[" or texts[-1] != "]" or self.kinds.get(texts[0]) != "text":
            return None
        if any(token.kind != "text" if at % 2 == 0 else token.text != "," for at, token in enumerate(inside)):
            return None
        return [(OneOf(texts[0], frozenset(_unquoted(token.text) for token in inside[::2]), not negated),)]

    def _compared(self, left: Sequence[Token], how: str, right: Sequence[Token], *, negated: bool) -> list[Clause] | None:
        how = _NEGATED[how] if negated else how
        numbers = self._number(left), self._number(right)
        if numbers[0] is not None and numbers[1] is not None:
            return _numeric(numbers[0], how, numbers[1])
        if len(left) != 1 or len(right) != 1 or how not in {"==", "!="}:
            return None
        name, other = (left[0], right[0]) if left[0].kind == "name" and left[0].text not in {"true", "false"} else (right[0], left[0])
        if self.kinds.get(name.text) == "text" and other.kind == "text":
            return [(OneOf(name.text, frozenset({_unquoted(other.text)}), how == "=="),)]
        if self.kinds.get(name.text) == "truth" and other.text in {"true", "false"}:
            return [(Truth(name.text, (other.text == "true") == (how == "==")),)]
        return None

    def _number(self, side: Sequence[Token]) -> tuple[str, Fraction] | None:
        """A number as variable plus constant."""
        texts = [token.text for token in side]
        if len(side) == 1 and side[0].kind == "name" and self.kinds.get(texts[0]) == "number":
            return (ZERO, self.fixed[texts[0]]) if texts[0] in self.fixed else (texts[0], Fraction(0))
        if side[-1].kind == "number" and (len(side) == 1 or (len(side) == 2 and texts[0] == "-")):
            value = Fraction(texts[-1].rstrip("u"))
            return ZERO, -value if len(side) == 2 else value
        return None

    def _numbers_agree(self, clause: Clause) -> bool:
        bounds = [one for one in clause if isinstance(one, Below)]
        if not bounds:
            return True
        names = {name for one in bounds for name in (one.left, one.right)} | {ZERO}
        relevant = _closed(names, self.known)
        return not _contradicts([*bounds, *(one for one in self.known if one.left in relevant and one.right in relevant)])


def _tokens(source: str) -> list[Token]:
    found, at = [], 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            if source[at:].strip():
                found.append(Token("sign", source[at:].strip(), at, len(source)))
            break
        found.append(Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup), match.end()))
        at = match.end()
    return found


def _any(source: str, tokens: Sequence[Token], at: int) -> tuple[Tree, int]:
    return _joined(source, tokens, at, "||")


def _joined(source: str, tokens: Sequence[Token], at: int, sign: str) -> tuple[Tree, int]:
    parts = []
    while True:
        part, at = _joined(source, tokens, at, "&&") if sign == "||" else _one(source, tokens, at)
        parts.append(part)
        if at >= len(tokens) or tokens[at].text != sign:
            return (parts[0] if len(parts) == 1 else Both(tuple(parts), any=sign == "||")), at
        at += 1


def _one(source: str, tokens: Sequence[Token], at: int) -> tuple[Tree, int]:
    negations = 0
    first = at
    while at < len(tokens) and tokens[at].text == "!" and tokens[at].kind == "sign":
        negations, at = negations + 1, at + 1
    tree: Tree
    if at < len(tokens) and tokens[at].text == "(" and _ends(tokens, close := _closing(tokens, at)):
        tree, inner = _any(source, tokens[: close - 1], at + 1)
        if inner != close - 1:
            tree = _atom(source, tokens[at + 1 : close - 1])
        at = close
    else:
        end = _end_of_atom(tokens, at)
        if negations and end != at + 1 and not _is_call(tokens, at, end):
            return _atom(source, tokens[first:end]), end  # ! binds tighter than a comparison
        tree, at = _atom(source, tokens[at:end]), end
    return (Not(tree) if negations % 2 else tree), at


def _ends(tokens: Sequence[Token], at: int) -> bool:
    return at >= len(tokens) or tokens[at].text in _ENDS


def _closing(tokens: Sequence[Token], at: int) -> int:
    """The place after the bracket that closes the one at ``at``."""
    depth = 0
    for place in range(at, len(tokens)):
        if tokens[place].kind == "sign":
            depth += (tokens[place].text in {"(", "[", "{"}) - (tokens[place].text in {")", "]", "}"})
        if depth == 0:
            return place + 1
    return len(tokens)


def _end_of_atom(tokens: Sequence[Token], at: int) -> int:
    while at < len(tokens) and not (tokens[at].kind == "sign" and tokens[at].text in _ENDS):
        at = _closing(tokens, at) if tokens[at].kind == "sign" and tokens[at].text in {"(", "[", "{"} else at + 1
    return at


def _is_call(tokens: Sequence[Token], at: int, end: int) -> bool:
    return tokens[at].kind == "name" and at + 1 < end and tokens[at + 1].text == "(" and _closing(tokens, at + 1) == end


def _atom(source: str, tokens: Sequence[Token]) -> Atom:
    return Atom(source[tokens[0].start : tokens[-1].end] if tokens else source, tuple(tokens))


def _sides(tokens: tuple[Token, ...]) -> tuple[tuple[Token, ...], str, tuple[Token, ...]] | None:
    places = [at for at, token in enumerate(tokens) if token.kind == "sign" and token.text in _COMPARISONS]
    if len(places) != 1 or not 0 < places[0] < len(tokens) - 1:
        return None
    at = places[0]
    return tokens[:at], tokens[at].text, tokens[at + 1 :]


def _numeric(left: tuple[str, Fraction], how: str, right: tuple[str, Fraction]) -> list[Clause]:
    (a, add), (b, plus) = left, right
    if how in {">", ">="}:
        return _numeric(right, _TURNED[how], left)
    below, strictly = Below(a, b, plus - add, False), Below(a, b, plus - add, True)
    above, over = Below(b, a, add - plus, False), Below(b, a, add - plus, True)
    return {"<": [(strictly,)], "<=": [(below,)], "==": [(below, above)], "!=": [(strictly,), (over,)]}[how]  # type: ignore[return-value]


def _truths_agree(clause: Clause) -> bool:
    said: dict[str, bool] = {}
    return all(said.setdefault(one.name, one.holds) == one.holds for one in clause if isinstance(one, Truth))


def _texts_agree(clause: Clause) -> bool:
    allowed: dict[str, frozenset[str]] = {}
    refused: dict[str, frozenset[str]] = {}
    for one in clause:
        if isinstance(one, OneOf) and one.holds:
            allowed[one.name] = allowed.get(one.name, one.values) & one.values
        elif isinstance(one, OneOf):
            refused[one.name] = refused.get(one.name, frozenset()) | one.values
    return all(values - refused.get(name, frozenset()) for name, values in allowed.items())


def _closed(names: set[str], known: Iterable[Below]) -> set[str]:
    """The names, and all that known relations tie to them."""
    known, found, grown = list(known), set(names), True
    while grown:
        more = {name for one in known for name in (one.left, one.right) if {one.left, one.right} & (found - {ZERO})}
        grown = not more <= found
        found |= more
    return found


def _contradicts(bounds: Sequence[Below]) -> bool:
    """Whether no numbers satisfy all bounds: a cycle of them sums up to less than nought, or to nought with one strict."""
    names = sorted({name for one in bounds for name in (one.left, one.right)})
    shortest: dict[tuple[str, str], tuple[Fraction, bool]] = {}
    for one in bounds:
        _shorten(shortest, one.left, one.right, (one.bound, one.strict))
    for middle, left, right in product(names, names, names):
        first, second = shortest.get((left, middle)), shortest.get((middle, right))
        if first is not None and second is not None:
            _shorten(shortest, left, right, (first[0] + second[0], first[1] or second[1]))
    return any(bound < 0 or (bound == 0 and strict) for (left, right), (bound, strict) in shortest.items() if left == right)


def _shorten(shortest: dict[tuple[str, str], tuple[Fraction, bool]], left: str, right: str, bound: tuple[Fraction, bool]) -> None:
    before = shortest.get((left, right))
    if before is None or (bound[0], not bound[1]) < (before[0], not before[1]):
        shortest[left, right] = bound


def _few(clauses: list[Clause]) -> list[Clause]:
    if len(clauses) > MAX_CLAUSES:
        raise Undecided
    return clauses


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
