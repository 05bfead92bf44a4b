"""The sum of a million orders: by hand for a small one, and against what the files say."""

import contextlib
import io
import json
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import cost
import figures
from cost import MILLION, Deployment, Failure, Sum, billed_ms, main, priced, read_toml, traces, units

DEPLOYED = Deployment(
    memory_mb={"pos-commands": 512, "event-relay": 512, "sales-aggregator": 512, "hq-dispatcher": 256, "stock-keeper": 512},
    timeout_seconds={"pos-commands": 25, "event-relay": 60, "sales-aggregator": 60, "hq-dispatcher": 25, "stock-keeper": 60},
    stream_hours=168,
    log_days=30,
    alarms=14,
)


def stage(**found) -> dict:
    base = {"invocations": 1, "processor_us": 1_000, "database_round_trips": 1, "log_bytes": 500}
    return {"orders": 100, "found": {**base, **found}}


def measured() -> dict:
    """As the benchmark writes it, with numbers that are easy to multiply."""
    stages = {"keeper 2": stage(read_units_index_orders=3), "keeper 6": stage(read_units_index_orders=7)}
    for lines in (3, 20):
        stages[f"{lines} stored"] = {"orders": 100, "found": {"bytes": 2**30 / MILLION}}
        for mode in ("alone", "together"):
            stages[f"{lines} {mode} tills"] = stage(
                invocations=lines + 5, write_units_table_orders=10, write_units_index_orders=2,
                read_units_table_catalog=4, answer_bytes=1_000,
            )  # fmt: skip
            stages[f"{lines} {mode} relay"] = stage(kinesis_calls=1, kinesis_bytes=1_024, sqs_calls=1)
            stages[f"{lines} {mode} aggregator"] = stage(write_units_table_analytics=10)
            stages[f"{lines} {mode} dispatcher"] = stage(hq_calls=1, hq_bytes=2_000, write_units_table_dispatch=3)
    return {"build": "release", "stages": stages}


class TestCost(unittest.TestCase):
    def setUp(self):
        self.prices, self.assumed = read_toml("prices.toml"), read_toml("assumptions.toml")

    def sum(self, lines: int = 3, changes: dict | None = None) -> Sum:
        stages = measured()["stages"]
        for name, found in (changes or {}).items():
            stages[name]["found"] |= found
        return cost.cost(stages, lines, "alone", self.prices, self.assumed, DEPLOYED)

    def part(self, total: Sum, service: str, what: str) -> cost.Part:
        [part] = [part for part in total.parts if part.service == service and part.what.startswith(what)]
        return part

    def test_parts_by_hand(self):
        total = self.sum()
        for service, what, count, dollars in [
            ("API Gateway", "requests", 8e6, 8.0),
            ("Lambda", "pos-commands: invocations", 8e6, 1.6),
            ("DynamoDB", "pos-commands: write units", 12e6, 7.5),
            ("DynamoDB", "pos-commands: read units", 4e6, 0.5),
            ("DynamoDB", "storage for 12 months", 12, 3.0),
            ("DynamoDB", "point-in-time recovery", 12, 2.4),
            ("Kinesis", "stream hours", 24, 0.96),
            ("Kinesis", "in", MILLION / 2**20, 0.08 * MILLION / 2**20),
            # One send; one receive and one delete.
            ("SQS", "sends", 3e6, 1.5),
            ("SQS", "polls", 5 * 4_320, 0.0108),
            ("CloudWatch", "alarms", 14 * 24 / 730, 1.4 * 24 / 730),
        ]:
            part = self.part(total, service, what)
            self.assertAlmostEqual(part.units, count, places=6, msg=what)
            self.assertAlmostEqual(part.dollars, dollars, places=6, msg=what)
        self.assertAlmostEqual(total.dollars, sum(total.by_service().values()))
        self.assertEqual(
            list(total.by_service()),
            ["API Gateway", "Lambda", "DynamoDB", "Kinesis", "SQS", "KMS", "CloudWatch", "X-Ray", "Data transfer"],
        )

    def test_an_invocation_is_billed_for_work_and_waits_in_whole_milliseconds(self):
        found = {"invocations": 2, "processor_us": 2_000, "database_round_trips": 4, "hq_calls": 1}
        # 1 ms of work on 512 of 1,769 MB, two waits of 10 ms, half of one of 100 ms.
        self.assertEqual(billed_ms(found, 512, self.assumed), 74)
        # More memory than one processor's makes one thread no faster.
        self.assertEqual(billed_ms(found, 3_538, self.assumed), 71)
        self.assertEqual(billed_ms({"invocations": 0}, 512, self.assumed), 0)

    def test_no_invocation_is_billed_beyond_its_timeout(self):
        slow = self.sum(3, {"3 alone tills": {"processor_us": 1e12}})
        self.assertAlmostEqual(self.part(slow, "Lambda", "pos-commands: 25000 ms").units, 8e6 * 25 * 0.5)

    def test_a_sweep_grows_with_its_stores(self):
        swept = cost.sweep(measured()["stages"], 500)
        self.assertEqual(swept["read_units_index_orders"], 3 + 498)
        # What does not grow stays; what was quicker with more to do is not taken for a gain.
        self.assertEqual(swept["invocations"], 1)
        stages = measured()["stages"]
        stages["keeper 6"]["found"]["processor_us"] = 1
        self.assertEqual(cost.sweep(stages, 500)["processor_us"], 1_000)

    def test_traces_are_the_first_of_each_second_and_a_part_of_the_rest(self):
        self.assertEqual(traces(1_000, self.assumed), 1_000)
        self.assertEqual(traces(43_200 + 1_000, self.assumed), 43_200 + 50)

    def test_capacity_counts_tables_and_indexes_of_one_kind(self):
        found = {"write_units_table_orders": 4, "write_units_index_orders": 2, "read_units_table_orders": 8, "invocations": 1}
        self.assertEqual((units(found, "write"), units(found, "read")), (6, 8))

    def test_whatever_is_measured_is_paid(self):
        before = self.sum().dollars
        for name in ("tills", "relay", "aggregator", "dispatcher"):
            for found in ("invocations", "processor_us", "database_round_trips", "log_bytes", "write_units_table_orders",
                          "read_units_index_stock", "sqs_calls"):  # fmt: skip
                kept = measured()["stages"][f"3 alone {name}"]["found"].get(found, 0)
                # Not so much more that an invocation would run into its timeout.
                more = 10_000 if found == "processor_us" else 100
                dearer = self.sum(3, {f"3 alone {name}": {found: kept + more}}).dollars
                self.assertGreater(dearer, before, f"{name}: {found} costs nothing")
        for name, found in [("tills", "answer_bytes"), ("relay", "kinesis_bytes"), ("dispatcher", "hq_bytes")]:
            self.assertGreater(self.sum(3, {f"3 alone {name}": {found: 1_000_000}}).dollars, before, found)
        self.assertGreater(self.sum(3, {"3 stored": {"bytes": 1_000_000}}).dollars, before)
        self.assertGreater(self.sum(3, {"keeper 6": {"read_units_table_stock": 1_000}}).dollars, before)

    def test_each_price_and_each_assumption_is_used(self):
        used = {part.price for part in self.sum().parts}
        listed = {name for name, entry in self.prices.items() if isinstance(entry, dict)}
        self.assertEqual(used, listed)
        for name in listed:
            self.assertGreater(self.prices[name]["price"], 0, name)
            self.assertRegex(self.prices[name]["page"], r"^https://aws\.amazon\.com/", name)
        source = (cost.HERE / "cost.py").read_text(encoding="utf-8")
        for name in self.assumed:
            self.assertIn(f'assumed["{name}"]', source)

    def test_the_templates_are_read(self):
        deployed = Deployment.read()
        self.assertEqual(set(DEPLOYED.memory_mb) - set(deployed.memory_mb), set())
        self.assertTrue(all(size >= 128 for size in deployed.memory_mb.values()))
        self.assertGreater(deployed.stream_hours, 24)
        self.assertGreater(deployed.alarms, 0)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "infra").mkdir()
            for name in ("template.yaml", "infra/messaging.yaml", "infra/observability.yaml"):
                text = (cost.ROOT / name).read_text(encoding="utf-8")
                (Path(folder) / name).write_text(text.replace("ON_DEMAND", "PROVISIONED"), encoding="utf-8")
            with self.assertRaisesRegex(Failure, "StreamMode: ON_DEMAND"):
                Deployment.read(Path(folder))

    def test_four_figures_are_printed_with_their_parts_and_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            parts = Path(folder) / "parts.json"
            parts.write_text(json.dumps(measured()), encoding="utf-8")
            said = io.StringIO()
            with contextlib.redirect_stdout(said), mock.patch("sys.argv", ["cost.py", "--parts", str(parts)]):
                with mock.patch.object(cost.figures, "write") as write:
                    self.assertEqual(main(), 0)
            [(benchmark, kept)] = [call.args for call in write.call_args_list]
            self.assertEqual((benchmark, len(kept)), ("cost", 4))
            self.assertEqual({figure.build for figure in kept}, {"release"})
            for figure in kept:
                self.assertTrue(re.search(rf"^{figure.name} [\d.e+]+ \$ - holds$", said.getvalue(), re.M), figure.name)
            figures.write(benchmark, kept, Path(folder) / "bench")
            self.assertEqual([figure.value for figure in figures.read(Path(folder) / "bench")], [f.value for f in kept])
        sums = dict(priced(measured(), self.prices, self.assumed, DEPLOYED))
        three, twenty = (sums[f"dollars_per_million_orders_of_{lines}_lines_alone"] for lines in (3, 20))
        self.assertGreater(twenty.dollars, three.dollars)

    def test_without_measured_parts_it_says_how_to_measure(self):
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            with mock.patch("sys.argv", ["cost.py", "--parts", "/nonexistent/parts.json"]):
                self.assertEqual(main(), 1)
        self.assertIn("cargo bench -p tillstream-tests --bench order_cost", said.getvalue())


if __name__ == "__main__":
    unittest.main()
