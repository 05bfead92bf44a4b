"""Rewrites a Rust source so that each mutant of cargo-mutants' list can be switched on when it runs.

cargo-mutants builds once for each mutant: some thousand builds of all test binaries, two days on two cores.
Here all mutants are in one build, and a process has the one that MUTANT names. What a mutant is, cargo-mutants
says: this only writes each beside the code that it replaces.

Around what was written stand marks (`/*M<7*/ … /*M>7*/`), by which an error of the compiler finds the mutant
that is none: one that could not be built.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import tree_sitter
import tree_sitter_rust

LANGUAGE = tree_sitter.Language(tree_sitter_rust.language())
COMPARISONS = {"==", "!=", "<", ">", "<=", ">="}
SHORT_CIRCUITS = {"&&", "||"}


class Source:
    """One file. `mutants` are entries of `cargo mutants --list --json`, each with a number as `id`."""

    def __init__(self, text: bytes, mutants: Iterable[dict], switch: str):
        self.text = text
        self.switch = switch
        self.tree = tree_sitter.Parser(LANGUAGE).parse(text)
        self.lines = [0, *(at + 1 for at, byte in enumerate(text) if byte == 10)]
        self.mutants = defaultdict(list)
        for mutant in mutants:
            span = mutant["span"]
            self.mutants[mutant["genre"]].append((self.offset(span["start"]), self.offset(span["end"]), mutant))
        # Those that were written.
        self.written: set[int] = set()

    def offset(self, place: dict) -> int:
        """Of a line and a column of characters, both from 1, in bytes."""
        begin = self.lines[place["line"] - 1]
        end = self.lines[place["line"]] if place["line"] < len(self.lines) else len(self.text)
        return begin + len(self.text[begin:end].decode()[: place["column"] - 1].encode())

    def rewritten(self) -> str:
        root = self.tree.root_node
        return self.plain(0, root.start_byte) + self.of(root) + self.plain(root.end_byte, len(self.text))

    def plain(self, begin: int, end: int) -> str:
        return self.text[begin:end].decode()

    def at(self, genre: str, begin: int, end: int | None = None) -> list[dict]:
        """Mutants of a span; of any end, where none is told: punctuation after it may be theirs or not."""
        return [m for first, last, m in self.mutants[genre] if first == begin and end in (None, last)]

    def on(self, mutant: dict) -> str:
        self.written.add(mutant["id"])
        return f"{self.switch}({mutant['id']})"

    def marked(self, mutants: list[dict], text: str) -> str:
        numbers = ",".join(str(mutant["id"]) for mutant in mutants)
        return f"/*M<{numbers}*/{text}/*M>{numbers}*/"

    def chosen(self, mutants: list[dict], instead: Callable[[dict], str], otherwise: str) -> str:
        """The replacement of the mutant that is on, or what stood there."""
        branches = (f"if {self.on(mutant)} {{ {instead(mutant)} }} else " for mutant in mutants)
        return "".join(branches) + f"{{ {otherwise} }}"

    def of(self, node) -> str:
        rewrite = getattr(self, node.type, None) if node.type in REWRITTEN else None
        rewritten = rewrite(node) if rewrite else None
        return self.between(node, node.start_byte, node.end_byte) if rewritten is None else rewritten

    def between(self, node, begin: int, end: int) -> str:
        """The text of a node between two places, its children there rewritten."""
        text, at = "", begin
        for child in node.children:
            if begin <= child.start_byte and child.end_byte <= end:
                text += self.plain(at, child.start_byte)
                text += self.of(child) if child.child_count else self.plain(child.start_byte, child.end_byte)
                at = child.end_byte
        return text + self.plain(at, end)

    def parts(self, node) -> tuple[str, str, str, list[dict]]:
        """Left side, operator, right side, and the operator's mutants."""
        operator = node.child_by_field_name("operator")
        mutants = self.at("BinaryOperator", operator.start_byte, operator.end_byte)
        if not mutants:
            return "", operator.type, "", []
        left, right = (self.of(node.child_by_field_name(side)) for side in ("left", "right"))
        return left, operator.type, right, mutants

    def binary_expression(self, node) -> str | None:
        left, operator, right, mutants = self.parts(node)
        if not mutants:
            return None
        if operator in SHORT_CIRCUITS:
            chosen = self.chosen(mutants, lambda m: f"__l {m['replacement']} ({right})", f"__l {operator} ({right})")
            return self.marked(mutants, f"(match {{ {left} }} {{ __l => {chosen} }})")
        # Compared are references, as the compiler does it: what is compared stays where it is.
        sides = f"&({left}), &({right})" if operator in COMPARISONS else f"({left}), ({right})"
        chosen = self.chosen(mutants, lambda m: f"__l {m['replacement']} __r", f"__l {operator} __r")
        return self.marked(mutants, f"(match ({sides}) {{ (__l, __r) => {chosen} }})")

    def compound_assignment_expr(self, node) -> str | None:
        left, operator, right, mutants = self.parts(node)
        if not mutants:
            return None
        chosen = self.chosen(mutants, lambda m: f"{left} {m['replacement']} {right}", f"{left} {operator} {right}")
        return self.marked(mutants, f"({{ {chosen} }})")

    def unary_expression(self, node) -> str | None:
        operator, operand = node.children[0], node.children[1]
        mutants = self.at("UnaryOperator", operator.start_byte)
        if not mutants:
            return None
        chosen = self.chosen(mutants, lambda _: "__v", f"{operator.type} __v")
        return self.marked(mutants, f"(match ({self.of(operand)}) {{ __v => {chosen} }})")

    def negative_literal(self, node) -> str | None:
        mutants = self.at("UnaryOperator", node.start_byte)
        if not mutants:
            return None
        value = self.of(node.children[1])
        return self.marked(mutants, f"({self.chosen(mutants, lambda _: value, f'-{value}')})")

    def match_arm(self, node) -> str | None:
        """An arm that is deleted is one that never matches."""
        mutants = self.at("MatchArm", node.start_byte)
        if not mutants:
            return None
        pattern = node.child_by_field_name("pattern")
        condition = pattern.child_by_field_name("condition")
        rest = self.between(node, pattern.end_byte, node.end_byte)
        never = f"!{self.on(mutants[0])}"
        if condition is None:
            return self.of(pattern) + self.marked(mutants, f" if {never} ") + rest
        before = self.between(pattern, pattern.start_byte, condition.start_byte)
        after = self.between(pattern, condition.end_byte, pattern.end_byte)
        return before + self.marked(mutants, f"{never} && ") + f"({self.guard(condition)})" + after + rest

    def match_pattern(self, node) -> str | None:
        condition = node.child_by_field_name("condition")
        if condition is None:
            return None
        before = self.between(node, node.start_byte, condition.start_byte)
        return before + self.guard(condition) + self.between(node, condition.end_byte, node.end_byte)

    def guard(self, condition) -> str:
        text = self.of(condition)
        mutants = self.at("MatchArmGuard", condition.start_byte, condition.end_byte)
        if not mutants or condition.type.startswith("let_"):
            return text
        return self.marked(mutants, f"({self.chosen(mutants, lambda m: m['replacement'], text)})")

    def field_initializer(self, node) -> str | None:
        """A field that is deleted has the value of the struct's base (`..base`)."""
        mutants = self.at("StructField", node.start_byte)
        base = next((c for c in node.parent.children if c.type == "base_field_initializer"), None)
        struct = node.parent.parent
        if not mutants or base is None or struct.type != "struct_expression":
            return None
        name = struct.child_by_field_name("name")
        kind = self.plain(name.start_byte, name.end_byte)
        field, value = node.child_by_field_name("field"), node.child_by_field_name("value")
        if value is None:
            named = text = self.plain(node.start_byte, node.end_byte)
        else:
            named, text = self.plain(field.start_byte, field.end_byte), self.of(value)
        deleted = f"let __base: {kind} = {self.of(base.children[1])}; __base.{named}"
        return f"{named}: " + self.marked(mutants, self.chosen(mutants, lambda _: deleted, text))

    shorthand_field_initializer = field_initializer

    def function_item(self, node) -> str | None:
        """A function whose body is replaced returns at its begin."""
        body = node.child_by_field_name("body")
        if body is None:
            return None
        of_body = [m for first, last, m in self.mutants["FnValue"] if self.is_function_of(node, first, last)]
        if not of_body:
            return None
        begins = ""
        for mutant in of_body:
            value = mutant["replacement"].strip()
            returned = "return;" if value in ("", "()") else f"return {value};"
            begins += self.marked([mutant], f" if {self.on(mutant)} {{ {returned} }}")
        head = self.between(node, node.start_byte, body.start_byte)
        return head + "{" + begins + self.between(body, body.start_byte + 1, body.end_byte)

    def is_function_of(self, function, begin: int, end: int) -> bool:
        """Whether it is the innermost function that holds a span."""
        node = self.tree.root_node.descendant_for_byte_range(begin, max(begin, end - 1))
        while node is not None and node.type != "function_item":
            node = node.parent
        return node is not None and node.id == function.id


REWRITTEN = {
    "binary_expression",
    "compound_assignment_expr",
    "field_initializer",
    "function_item",
    "match_arm",
    "match_pattern",
    "negative_literal",
    "shorthand_field_initializer",
    "unary_expression",
}
