"""What the scenario takes for a failure, apart from the figures."""

import contextlib
import io
import unittest

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


if __name__ == "__main__":
    unittest.main()
