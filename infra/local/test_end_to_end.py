"""Which scenarios run where, and what of a lane that failed is told at the end."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import end_to_end
import processes
import stack


class LanesTest(unittest.TestCase):
    def test_each_scenario_is_in_one_lane(self):
        self.assertEqual(len(end_to_end.SCENARIOS), len(set(end_to_end.SCENARIOS)))
        for name in end_to_end.SCENARIOS:
            self.assertTrue(getattr(end_to_end.EndToEnd, name).__doc__, name)
        self.assertLessEqual(end_to_end.LONG | end_to_end.ALONE, set(end_to_end.SCENARIOS))

    def test_lanes_share_nothing_with_each_other_or_the_stack_of_make_run(self):
        ports = [port for lane in end_to_end.LANES for port in lane.ports()] + [stack.PORT, stack.HQ_PORT]
        self.assertEqual(len(ports), len(set(ports)))
        folders = [lane.directory for lane in end_to_end.LANES] + [end_to_end.ROOT / "target" / "local"]
        self.assertEqual(len(folders), len(set(folders)))
        for folder in folders:
            self.assertFalse(any(folder in other.parents for other in folders), folder)

    def ran(self, *chosen):
        """What of the choice runs on which stack, and whether lanes run side by side."""
        found = []

        def one(lane, names, build, keep):
            found.append(("one", lane.name, names))
            return 0

        def beside(lanes, build, keep):
            found.extend(("beside", lane.name, names) for lane, names in lanes)
            return 0

        with contextlib.ExitStack() as patches:
            patches.enter_context(mock.patch.object(sys, "argv", ["end_to_end.py", *chosen]))
            patches.enter_context(mock.patch.object(end_to_end, "run", one))
            patches.enter_context(mock.patch.object(end_to_end, "run_beside", beside))
            patches.enter_context(mock.patch.object(end_to_end.prerequisites, "enter_environment"))
            patches.enter_context(mock.patch.object(end_to_end.side_by_side, "catch_signals"))
            self.assertEqual(0, end_to_end.main())
        return found

    def test_scenarios_of_one_lane_run_on_one_stack_here(self):
        self.assertEqual([("one", "a", ["killed", "hq"])], self.ran("hq", "killed"))
        self.assertEqual([("one", "b", ["chaos"])], self.ran("chaos"))

    def test_scenarios_of_both_run_side_by_side(self):
        self.assertEqual([("beside", "a", ["hq"]), ("beside", "b", ["chaos"])], self.ran("chaos", "hq"))
        usual = [name for _, _, names in self.ran() for name in names]
        self.assertEqual(end_to_end.USUAL, usual)
        everything = [name for _, _, names in self.ran("all") for name in names]
        self.assertEqual(end_to_end.SCENARIOS, everything)


class ToldAgainTest(unittest.TestCase):
    def test_of_what_failed_the_end_is_told(self):
        long = [str(number) for number in range(end_to_end.LINES_TOLD)]
        said = [
            "up",
            "--- a: does a",
            "fine",
            "--- a: passed in 3 s",
            "--- b: does b",
            *long,
            "error: b",
            "--- c: does c",
            "--- c: passed in 1 s",
            "1 passed",
        ]
        self.assertEqual([*long[1:], "error: b"], end_to_end.told_again(said))

    def test_where_all_passed_the_last_is_told_and_where_none_began_all(self):
        self.assertEqual(
            ["--- a: does a", "--- a: passed in 3 s", "no"],
            end_to_end.told_again(["up", "--- a: does a", "--- a: passed in 3 s", "no"]),
        )
        self.assertEqual(["up", "error: no"], end_to_end.told_again(["up", "error: no"]))
        self.assertEqual([], end_to_end.told_again([]))


class DeviationsTest(unittest.TestCase):
    def test_what_the_contract_suite_told_is_found_wherever_it_stands(self):
        said = "test a ... MiniStack is not as DynamoDB: query: one unit\nok\ndynoxide is not as DynamoDB: b: c\n"
        expected = ["MiniStack is not as DynamoDB: query: one unit", "dynoxide is not as DynamoDB: b: c"]
        self.assertEqual(expected, end_to_end.deviations(said))


class RunBesideTest(unittest.TestCase):
    """With programs that are no scenarios, on no stack."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        root = mock.patch.object(end_to_end, "ROOT", self.folder)
        root.start()
        self.addCleanup(root.stop)
        lane = end_to_end.Lane
        self.lanes = [lane("a", (), self.folder / "a", 4700), lane("b", (), self.folder / "b", 4710)]

    def run_beside(self, code):
        """`code` runs as each lane, with what its name and folder are."""
        script = self.folder / "lane.py"
        script.write_text(code)
        told = io.StringIO()
        chosen = [(lane, [str(lane.directory)]) for lane in self.lanes]
        with mock.patch.object(end_to_end, "__file__", str(script)), contextlib.redirect_stdout(told):
            status = end_to_end.run_beside(chosen, build=False, keep=False)
        return status, told.getvalue()

    def test_a_lane_that_fails_is_told_at_the_end(self):
        code = "import sys; print('--- x: does x'); print(sys.argv[1:]); sys.exit(sys.argv[2].endswith('b'))"
        status, told = self.run_beside(code)
        self.assertEqual(1, status)
        shown, _, end = told.partition("--- b: where it failed")
        self.assertIn("a| --- x: does x\n", shown)
        self.assertIn(f"b| ['--no-build', '{self.folder}/b']\n", shown)
        self.assertIn(f"['--no-build', '{self.folder}/b']\n", end)
        self.assertIn("/a): passed in", end)
        self.assertIn("/b): FAILED with status 1 in", end)

    def test_both_pass(self):
        status, told = self.run_beside("print('1 passed')")
        self.assertEqual((0, 2), (status, told.count(": passed in")))

    def test_what_a_killed_lane_left_is_stopped(self):
        code = f"""
import os, signal, sys, subprocess, json
sys.path.insert(0, {str(Path(processes.__file__).parent)!r})
import processes
from pathlib import Path
process = processes.Process("ministack", Path(sys.argv[2]))
nowhere = subprocess.DEVNULL
left = subprocess.Popen(["sleep", "60"], start_new_session=True, stdout=nowhere, stderr=nowhere)
process.file.write_text(json.dumps({{"id": left.pid, "started_at": processes.started_at(left.pid), "port": 1}}))
os.kill(os.getpid(), signal.SIGKILL)
"""
        status, told = self.run_beside(code)
        self.assertEqual(1, status)
        for lane in self.lanes:
            self.assertIn(f"stopped ministack, which {lane.name} left", told)
            self.assertIsNone(processes.Process("ministack", lane.directory).id())


if __name__ == "__main__":
    unittest.main()
