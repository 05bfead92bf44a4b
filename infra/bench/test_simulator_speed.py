"""The speed of the simulator: what is run, what counts, and what is no figure. The simulator is a script here."""

import contextlib
import io
import stat
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import figures
import readme_table
import simulator_speed
from figures import Figure
from simulator_speed import figure

# Says what it was asked for, and on how many cores.
SIMULATOR = """#!{python}
import os, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
seeds, commands = int(given["--seeds"]), int(given["--commands"])
print("cores", len(os.sched_getaffinity(0)))
print(f"{{seeds}} seeds of {{commands}} commands in 1.5s: {{{began}}} commands, 7 orders, 9 steps; {failed} seeds failed")
sys.exit({status})
"""


class SimulatorSpeedTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.folder = Path(directory.name)
        self.kept = self.folder / "kept"
        self.kept.mkdir()

    def simulator(self, build: str = "release", **told) -> Path:
        told = {"began": "seeds * commands + 3", "failed": 0, "status": 0, **told}
        binary = self.folder / build / "simulator"
        binary.parent.mkdir(exist_ok=True)
        binary.write_text(SIMULATOR.format(python=sys.executable, **told))
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
        return binary

    def run_main(self, binary: Path, *more: str) -> tuple[int, str]:
        words = [simulator_speed.__file__, "--binary", str(binary), "--figures", str(self.kept), *more]
        said = io.StringIO()
        with mock.patch("sys.argv", words), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return simulator_speed.main(), said.getvalue()

    def test_a_thousand_seeds_of_a_thousand_commands_are_a_figure(self):
        status, said = self.run_main(self.simulator())
        self.assertEqual(0, status, said)
        self.assertIn("1000 seeds of 1000 commands in 1.5s: 1000003 commands", said)
        [kept] = figures.read(self.kept)
        self.assertEqual(
            Figure("simulator_speed", "simulate_1000_seeds", kept.value, "s", {"at_most": 300}, "release", 0), kept
        )
        self.assertIn(f"simulate_1000_seeds {kept.value:g} s ≤300 holds", said)

    def test_more_than_two_cores_are_not_used(self):
        cores = len(simulator_speed.os.sched_getaffinity(0))
        _, said = self.run_main(self.simulator())
        self.assertIn(f"cores {min(cores, 2)}\n", said)
        # Who measures keeps its own.
        self.assertEqual(cores, len(simulator_speed.os.sched_getaffinity(0)))

    def test_only_what_may_be_used_is(self):
        with (
            mock.patch.object(simulator_speed.os, "sched_getaffinity", return_value={4, 7, 5}),
            mock.patch.object(simulator_speed.os, "sched_setaffinity") as bound,
            mock.patch.object(simulator_speed.subprocess, "run") as run,
        ):
            summary = "1000 seeds of 1000 commands in 1s: 1000000 commands, 0 orders, 0 steps; 0 seeds failed\n"
            run.return_value = mock.Mock(stdout=summary, returncode=0)
            self.assertEqual(0, self.run_main(self.simulator())[0])
            run.call_args.kwargs["preexec_fn"]()
        bound.assert_called_once_with(0, [4, 5])

    def test_five_minutes_are_the_limit(self):
        verdicts = [figure(took, "release").verdict for took in (299.9, 300.0, 300.1)]
        self.assertEqual(["holds", "holds", "short"], verdicts)

    def test_the_time_is_that_of_the_process(self):
        with mock.patch.object(simulator_speed.time, "perf_counter", side_effect=[100.0, 412.34]):
            status, said = self.run_main(self.simulator())
        # A figure that falls short is told, and stops nothing.
        self.assertEqual(0, status)
        self.assertIn("simulate_1000_seeds 312.3 s ≤300 short", said)

    def test_what_a_dev_build_takes_is_told_as_such(self):
        self.run_main(self.simulator("debug"))
        self.assertEqual(["dev"], [kept.build for kept in figures.read(self.kept)])

    def test_fewer_seeds_are_not_kept(self):
        status, said = self.run_main(self.simulator(), "--seeds", "10")
        self.assertEqual(0, status)
        self.assertIn("not kept: 10 of 1000 seeds", said)
        self.assertEqual([], figures.read(self.kept))

    def test_seeds_that_fail_are_no_figure(self):
        for told in ({"failed": 2, "status": 1}, {"failed": 2}, {"status": 1}):
            status, said = self.run_main(self.simulator(**told))
            self.assertEqual((1, []), (status, figures.read(self.kept)), told)
            self.assertIn("seeds failed", said)

    def test_fewer_commands_than_asked_for_are_no_figure(self):
        for began in ("seeds * commands - 1", "0"):
            status, said = self.run_main(self.simulator(began=began))
            self.assertEqual((1, []), (status, figures.read(self.kept)))
            self.assertIn("fewer than asked for", said)

    def test_other_runs_than_asked_for_are_no_figure(self):
        for told in ("999 seeds of 1000 commands", "1000 seeds of 100 commands", "nothing"):
            line = f"{told} in 1s: 1000000 commands, 0 orders, 0 steps; 0 seeds failed"
            with self.assertRaises(simulator_speed.Failure):
                simulator_speed.check(line, 0, 1_000)

    def test_what_is_not_built_is_told_with_how_to(self):
        status, said = self.run_main(self.folder / "release" / "simulator")
        self.assertEqual(1, status)
        self.assertIn("cargo build --release --locked --package tillstream-testkit --bin simulator", said)

    def test_make_bench_builds_and_runs_it_before_the_table(self):
        makefile = (simulator_speed.ROOT / "Makefile").read_text(encoding="utf-8")
        bench = makefile.partition("\nbench:")[2].partition("\n\n")[0]
        steps = [simulator_speed.BUILT_BY, "infra/bench/simulator_speed.py", "infra/bench/readme_table.py"]
        places = [bench.find(step) for step in steps]
        self.assertNotIn(-1, places)
        self.assertEqual(sorted(places), places)

    def test_the_table_has_it_after_the_journeys(self):
        journeys = Figure("journeys", "journeys_of_3_lines", 320, "journeys/s", {"at_least": 300}, "release")
        figures.write("simulator_speed", [figure(200.04, "release")], self.kept)
        figures.write("journeys", [journeys], self.kept)
        rows = readme_table.table(figures.read(self.kept)).splitlines()[2:]
        self.assertEqual("| simulate_1000_seeds | 200 s | ≤300 | holds |", rows[1])


if __name__ == "__main__":
    unittest.main()
