"""Checks that run beside the compiler are told after it and in order, and what fails is told of all."""

import io
import subprocess
import threading
import unittest
from contextlib import redirect_stdout
from unittest import mock

import check


class CheckTest(unittest.TestCase):
    def failed(self, compiling, beside):
        told = io.StringIO()
        with redirect_stdout(told):
            titles = check.failed(compiling, beside)
        return titles, [line for line in told.getvalue().splitlines() if not line.endswith(" s")]

    def test_what_runs_beside_the_compiler_is_told_after_it_and_in_order(self):
        second_is_over = threading.Event()

        def first():
            return second_is_over.wait(60), "said by the first"

        def second():
            second_is_over.set()
            return True, "said by the second\n"

        titles, told = self.failed(
            {"Compiling": lambda: second_is_over.wait(60)}, {"First": first, "Second": second}
        )
        self.assertEqual([], titles)
        self.assertEqual(
            ["==> Compiling", "==> First", "said by the first", "==> Second", "said by the second"], told
        )

    def test_every_failure_is_told_whatever_failed_before(self):
        beside = {"Wrong": lambda: (False, "why"), "Right": lambda: (True, ""), "Worse": lambda: (False, "")}
        titles, told = self.failed({"Compiling": lambda: False}, beside)
        self.assertEqual(["Compiling", "Wrong", "Worse"], titles)
        self.assertIn("why", told)

    def test_a_network_that_swallows_everything_is_out_of_reach(self):
        def swallowed(command, timeout, **_):
            raise subprocess.TimeoutExpired(command, timeout)

        with mock.patch.object(subprocess, "run", swallowed):
            self.assertFalse(check.is_reachable(check.ADVISORIES))
            with mock.patch.dict("os.environ"):
                check.os.environ.pop("REQUIRE_ADVISORIES", None)
                holds, said = check.advisories(check.TOOLS / "bin" / "cargo-deny")
        self.assertTrue(holds and "NOT CHECKED" in said, said)


if __name__ == "__main__":
    unittest.main()
