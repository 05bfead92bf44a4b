"""What is written beside what, which mutant an error of the compiler is put down to, and what is told of all."""

import io
import json
import os
import re
import subprocess
import tempfile
import unittest
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import measure
from measure import Explanation, Verdict
from progress import Failure

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


class BinariesTest(unittest.TestCase):
    def test_unit_tests_of_the_use_cases_are_a_target_of_another_package(self):
        built = {
            "units-0a": ("../src/lib.rs", "shared/app/tests/../src/lib.rs"),
            "stock-1b": ("stock/main.rs", "shared/app/tests/stock/main.rs"),
            "tillstream_domain-2c": ("unittests src/lib.rs", "shared/domain/src/lib.rs"),
            "kit-3d": ("tests/kit/main.rs", "shared/testkit/tests/kit/main.rs"),
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, (_, source) in built.items():
                Path(folder, f"{name}.d").write_text(f"{folder}/{name}.d: {source} {source}\n")
            told = "".join(f"  Executable {shown} ({folder}/{name})\n" for name, (shown, _) in built.items())
            done = subprocess.CompletedProcess([], 0, "", told)
            with mock.patch.object(measure, "cargo", lambda *_, **__: done):
                found = measure.binaries()
        names = ["app/units", "app/stock", "domain/tillstream_domain", "simulator"]
        self.assertEqual(names, [of.name for of in found])
        self.assertEqual([measure.SOURCE / "shared" / "app"] * 2, [of.directory for of in found[:2]])


class VerdictsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.results = self.folder / "verdicts.jsonl"

    def write(self, *verdicts):
        self.results.write_text("".join(json.dumps(asdict(one)) + "\n" for one in verdicts))

    def test_only_what_a_test_caught_stands_at_another_commit(self):
        caught = Verdict("a.rs:1:2: replace + with -", "old", "app/stock")
        self.write(
            caught,
            Verdict("a.rs:2:2: delete !", "old", None),
            Verdict("a.rs:3:2: replace < with <=", "old", "app/stock", timed_out=True),
            Verdict("a.rs:4:2: replace && with ||", "old", "app/stock"),
        )
        names = {caught.name, "a.rs:2:2: delete !", "a.rs:3:2: replace < with <="}
        self.assertEqual([caught], measure.carried(self.results, names))

    def test_the_last_verdict_holds(self):
        name = "a.rs:1:2: delete !"
        self.write(Verdict(name, "old", None), Verdict(name, "new", "simulator"))
        self.assertEqual({name: Verdict(name, "new", "simulator")}, measure.known(self.results))
        self.results.unlink()
        self.assertEqual({}, measure.known(self.results))

    def test_what_is_told_is_of_all_that_were_tried(self):
        names = [f"a.rs:{n}:2: delete !" for n in range(5)]
        self.write(
            Verdict(names[0], "old", "app/stock"),
            Verdict(names[1], "new", "app/stock", timed_out=True),
            Verdict(names[2], "new", None),
            Verdict("b.rs:1:1: delete !", "new", None),
            Verdict(names[3], "new", None),
        )
        told = io.StringIO()
        with mock.patch.object(measure, "FOLDER", self.folder), redirect_stdout(told):
            with mock.patch.object(measure, "explained", lambda: {"a.rs: replace > with >=": Explanation("why")}):
                self.assertEqual(names[2:4], measure.report(names, "new", self.results))
            self.assertIn("there is no such mutant: a.rs: replace > with >=", told.getvalue())
            with mock.patch.object(measure, "explained", lambda: {"a.rs: delete !": Explanation("why", 2)}):
                self.assertEqual([], measure.report(names, "new", self.results))
        self.assertIn("5 viable mutants, 1 of them not tried", told.getvalue())
        self.assertIn("2 caught (1 at an earlier commit, 1 by time-outs), 2 missed, 0 of these", told.getvalue())
        self.assertIn("50.0 % of the tried are caught", told.getvalue())

    def test_more_missed_than_are_explained_is_an_error_and_none_of_them_is_explained(self):
        names = [f"a.rs:{n}:2: delete ! in f" for n in range(3)]
        self.write(*(Verdict(name, "new", None) for name in names))
        told = io.StringIO()
        with mock.patch.object(measure, "FOLDER", self.folder), redirect_stdout(told):
            with mock.patch.object(measure, "explained", lambda: {"a.rs: delete ! in f": Explanation("why", 2)}):
                with self.assertRaisesRegex(Failure, "3 are missed, 2 explained: a.rs: delete ! in f"):
                    measure.report(names, "new", self.results)
        self.assertIn("3 missed, 0 of these explained", told.getvalue())
        self.assertEqual(names, (self.folder / "missed.txt").read_text().splitlines())

    def test_an_explanation_is_of_one_function(self):
        missed = ["a.rs:1:2: delete ! in f", "a.rs:9:2: delete ! in g"]
        reasons = {"a.rs: delete ! in f": Explanation("why")}
        self.assertEqual((missed[1:], []), measure.judged(missed, reasons))

    def test_what_an_explanation_is_read_from(self):
        text = "# said\n\na.rs: replace | with ^ in f | each bit once\na.rs: delete ! in g | 3 | no matter\n"
        with self.assertRaisesRegex(Failure, "explained twice: a.rs: replace"):
            measure.explanations(text + "a.rs: replace | with ^ in f | again")
        for wrong in ["a.rs: delete ! in f", "a.rs: delete ! in f | ", "a.rs: delete ! in f | 0 | why"]:
            with self.assertRaisesRegex(Failure, "neither"):
                measure.explanations(wrong)
        expected = {
            "a.rs: replace | with ^ in f": Explanation("each bit once"),
            "a.rs: delete ! in g": Explanation("no matter", 3),
        }
        self.assertEqual(expected, measure.explanations(text))

    def test_what_is_explained_is_of_a_function_that_is_there(self):
        for name in measure.explained():
            file, _, what = name.partition(": ")
            # The name of a mutant that replaces a whole function begins with it; all others end by it.
            function = re.search(r" in (\S.*)$", what) or re.match(r"replace (\S+) (?:-> .*)?with ", what)
            self.assertIsNotNone(function, name)
            text = (measure.ROOT / file).read_text()
            self.assertRegex(text, rf"\bfn {re.escape(function[1].rpartition('::')[2])}\b", name)

    def test_what_is_as_it_was_has_the_time_of_then(self):
        before, source = self.folder / "before", self.folder / "source"
        for folder, second, changed in [(before, 1_000, "a"), (source, 2_000, "b")]:
            (folder / "src").mkdir(parents=True)
            for name, text in [("same.rs", "x"), ("src/changed.rs", changed)]:
                (folder / name).write_text(text)
                os.utime(folder / name, (second, second))
        (source / "new.rs").write_text("y")
        with mock.patch.object(measure, "SOURCE", source), mock.patch.object(measure, "BEFORE", before):
            measure.keep_times()
        times = [(source / name).stat().st_mtime for name in ("same.rs", "src/changed.rs")]
        self.assertEqual([1_000, 2_000], times)


if __name__ == "__main__":
    unittest.main()
