"""What is written beside what, and which mutant an error of the compiler is put down to."""

import unittest

from unviable import Marks

try:
    from switches import Source
except ImportError:  # The parser is installed for `make mutants` only.
    Source = None

CODE = b"""fn sum(a: u8, b: u8) -> bool {
    match a {
        1 if b < 3 => !(a == b && b > 0),
        2 => P { x: a, ..q() }.y,
        _ => false,
    }
}
"""


def mutant(number, genre, of, replacement, code=CODE):
    """A mutant of the text `of`."""
    at = code.index(of)
    line = code.count(b"\n", 0, at)
    begin = code.rfind(b"\n", 0, at) + 1

    def place(offset):
        row = code.count(b"\n", 0, offset) + 1
        return {"line": row, "column": offset - code.rfind(b"\n", 0, offset)}

    assert line >= 0 and begin >= 0
    span = {"start": place(at), "end": place(at + len(of))}
    return {"id": number, "genre": genre, "span": span, "replacement": replacement}


@unittest.skipIf(Source is None, "needs the parser that make mutants installs")
class SwitchesTest(unittest.TestCase):
    def rewritten(self, *mutants):
        source = Source(CODE, mutants, "on")
        text = source.rewritten()
        self.assertEqual({m["id"] for m in mutants}, source.written)
        return text

    def test_without_mutants_nothing_changes(self):
        self.assertEqual(CODE.decode(), self.rewritten())

    def test_an_operator_is_chosen_at_run_time(self):
        text = self.rewritten(mutant(4, "BinaryOperator", b"==", "!="))
        self.assertIn("(match (&(a), &(b)) { (__l, __r) => if on(4) { __l != __r } else { __l == __r } })", text)

    def test_a_short_circuit_stays_one(self):
        text = self.rewritten(mutant(4, "BinaryOperator", b"&&", "||"))
        self.assertIn("__l => if on(4) { __l || (b > 0) } else { __l && (b > 0) }", text)

    def test_a_negation_a_guard_an_arm_a_field_and_a_function(self):
        text = self.rewritten(
            mutant(1, "UnaryOperator", b"!", ""),
            mutant(2, "MatchArmGuard", b"b < 3", "true"),
            mutant(3, "MatchArm", b"2 => P { x: a, ..q() }.y", ""),
            mutant(4, "StructField", b"x: a", ""),
            mutant(5, "FnValue", CODE[CODE.index(b"match a") : CODE.rindex(b"\n}")], "true"),
        )
        for part in (
            "if on(1) { __v } else { ! __v }",
            "if (if on(2) { true } else { b < 3 })",
            "2/*M<3*/ if !on(3) /*M>3*/ =>",
            "x: /*M<4*/if on(4) { let __base: P = q(); __base.x } else { a }/*M>4*/",
            "bool {/*M<5*/ if on(5) { return true; }/*M>5*/",
        ):
            self.assertIn(part, text.replace("/*M<2*/", "").replace("/*M>2*/", ""))


class MarksTest(unittest.TestCase):
    def test_the_smallest_mark_and_the_branch_in_it(self):
        text = b"a /*M<1,2*/(if on(1) { x } else if on(2) { y } else { /*M<3*/z/*M>3*/ })/*M>1,2*/ b\n"
        marks = Marks(text)
        at = lambda word: (text.index(word), text.index(word) + 1)  # noqa: E731
        self.assertEqual([1], marks.of(*at(b"x")))
        self.assertEqual([2], marks.of(*at(b"y")))
        self.assertEqual([3], marks.of(*at(b"z")))
        self.assertEqual([], marks.of(*at(b"a")))
        self.assertEqual({1, 2, 3}, set(marks.of_lines(*at(b"a"))))


if __name__ == "__main__":
    unittest.main()
