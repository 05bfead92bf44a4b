"""What the scenario takes for a failure, apart from the figures."""

import contextlib
import io
import unittest
from unittest import mock

import chaos
import faults


class ChaosTest(unittest.TestCase):
    def test_a_kind_of_fault_that_never_occurred_is_named(self):
        counts = {
            "calls": {"dynamodb PutItem": 9},
            "faults": {service: dict.fromkeys(kinds, 1) for service, kinds in chaos.SERVICES.items()},
        }
        with contextlib.redirect_stdout(io.StringIO()):
            chaos.require_every_kind(counts)
            del counts["faults"]["sqs"][faults.PARTIAL], counts["faults"]["hq"]
            with self.assertRaisesRegex(AssertionError, "sqs: partial.*hq: delayed"):
                chaos.require_every_kind(counts)

    def test_every_kind_that_a_call_can_meet_is_asked_for(self):
        met = {
            "dynamodb": ["TransactWriteItems", "PutItem", "BatchGetItem"],
            "kinesis": ["PutRecords"],
            "sqs": ["SendMessageBatch"],
            "hq": ["POST /orders"],
        }
        for service, operations in met.items():
            sent = {"ClientRequestToken": "t"} if service == "dynamodb" else {}
            kinds = {kind for name in operations for kind in faults.kinds(faults.Call(service, name, sent))}
            self.assertEqual(kinds, chaos.SERVICES[service], service)

    def test_a_defect_is_told_from_what_is_to_be_repeated(self):
        harmless = [
            '{"action":"finalize_order","outcome":"retryable","status":503}',
            '{"level":"ERROR","message":"BatchFailed(\\"not taken downstream\\")"}',
        ]
        harmless.append("thread 'main' panicked at /registry/lambda_runtime-1.5.0/src/types.rs:176:10:")
        defects = [
            '{"function":"orders","outcome":"failed","status":500}',
            '{"level":"ERROR","message":"BatchFailed(\\"bug: item lacks version\\")"}',
            "thread 'main' panicked at src/lib.rs:1:1",
        ]
        self.assertEqual(defects, chaos.defects(harmless + defects))


class Scene:
    """A proxy, lanes and a clock of a drain: each reading of the figures takes a second and meets `faults`."""

    def __init__(self, complete_after: int, faults: int):
        self.complete_after, self.faults = complete_after, faults
        self.readings, self.seconds, self.met = 0, 0.0, 1000

    def counts(self) -> dict:
        return {"faults": {"dynamodb": {faults.RESET: self.met - 1}, "hq": {faults.LATE: 1}}}

    def behind(self) -> list[str]:
        self.readings, self.seconds, self.met = self.readings + 1, self.seconds + 1, self.met + self.faults
        return [] if self.readings > self.complete_after else ["s/r-1 at 1 of 2, gaps []"]

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def drain(self) -> str:
        told = io.StringIO()
        with contextlib.redirect_stdout(told), mock.patch.object(chaos, "time", self):
            chaos.drain(self, self.behind)
        return told.getvalue()


class DrainTest(unittest.TestCase):
    def test_faults_go_on_until_the_figures_are_complete(self):
        scene = Scene(complete_after=7, faults=chaos.DRAINING_FAULTS_MIN)
        self.assertIn(f"{8 * chaos.DRAINING_FAULTS_MIN} faults, all lanes complete", scene.drain())
        self.assertEqual(8, scene.readings)

    def test_complete_figures_are_read_until_enough_faults_occurred_beneath(self):
        scene = Scene(complete_after=0, faults=1)
        scene.drain()
        self.assertEqual(chaos.DRAINING_FAULTS_MIN, scene.readings)

    def test_faults_end_where_the_figures_do_not_become_complete(self):
        scene = Scene(complete_after=10_000, faults=5)
        self.assertIn("1 lanes behind, among them s/r-1", scene.drain())
        self.assertLess(scene.seconds, chaos.DRAINING_SECONDS_MAX + 2)

    def test_a_drain_without_faults_proves_nothing(self):
        with self.assertRaisesRegex(AssertionError, "^0 faults occurred after the last sale"):
            Scene(complete_after=0, faults=0).drain()


if __name__ == "__main__":
    unittest.main()
