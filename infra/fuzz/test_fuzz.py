"""Which rounds are run, and what is said of them; nothing is built."""

import io
import subprocess
import unittest
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

import fuzz


class RoundsTest(unittest.TestCase):
    def setUp(self):
        self.seeds: list[int] = []
        self.cases: set[str] = set()
        self.commands: list[list[str]] = []
        self.fails: list[str] = []
        self.told, self.seconds = io.StringIO(), 0.0
        # Said before it was run.
        self.said_before = True

    def ran(self, command, *, cwd, env):
        seed = env["PROPTEST_RNG_SEED"]
        self.said_before &= f"seed {seed}:" in self.told.getvalue()
        if not self.seeds or self.commands[-1] == fuzz.COMMANDS[-1]:
            self.seeds.append(int(seed))
        self.commands.append(command)
        self.cases.add(env["PROPTEST_CASES"])
        self.seconds += 40
        return subprocess.CompletedProcess(command, int(any(name in command for name in self.fails)))

    def run_fuzz(self, *arguments: str) -> int:
        clock = mock.MagicMock(monotonic=lambda: self.seconds)
        with (
            mock.patch.object(fuzz.subprocess, "run", self.ran),
            mock.patch.object(fuzz, "time", clock),
            mock.patch.object(fuzz.sys, "argv", ["fuzz.py", *arguments]),
            redirect_stdout(self.told),
            redirect_stderr(self.told),
        ):
            return fuzz.main()

    def test_each_round_has_another_seed_and_the_last_is_finished(self):
        self.assertEqual(0, self.run_fuzz("--minutes", "3", "--cases", "70"))
        # A round takes 80 s: the third begins before 180.
        self.assertEqual(3 * fuzz.COMMANDS, self.commands)
        self.assertEqual(3, len(set(self.seeds)))
        self.assertEqual({"70"}, self.cases)
        self.assertTrue(self.said_before)

    def test_a_round_that_fails_is_the_last_and_says_how_to_repeat_it(self):
        self.fails = ["fuzzing"]
        self.assertEqual(1, self.run_fuzz())
        self.assertEqual(fuzz.COMMANDS, self.commands)
        self.assertIn(f"make fuzz SEED={self.seeds[0]} CASES=1000", self.told.getvalue())

    def test_what_fails_in_the_second_part_fails(self):
        self.fails = ["documents"]
        self.assertEqual(1, self.run_fuzz())

    def test_a_seed_is_one_round(self):
        self.assertEqual(0, self.run_fuzz("--seed", "7"))
        self.assertEqual((fuzz.COMMANDS, [7]), (self.commands, self.seeds))


if __name__ == "__main__":
    unittest.main()
