"""What a million orders cost on AWS: list prices times what one order was measured to ask of each service.

    cost.py [--parts target/bench/parts/order_cost.json]

`cargo bench --bench order_cost` measures (`tests/benches/order_cost.rs`); memory, retention and alarms are read
from the templates; `prices.toml` has the prices and `assumptions.toml` everything that is neither. An
order is a till's journey: a cart, its lines, customer, tender, payment, final; then relayed, counted and
sent to HQ.

Two sums are told, and the truth is between them: every change, event and message handled by itself, as in
a quiet hour, and in the fullest batches that the template allows.
"""

import argparse
import json
import math
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import figures
from figures import ROOT, Figure

sys.path.insert(0, str(ROOT / "infra" / "local"))

from progress import Failure, fail  # noqa: E402

HERE = Path(__file__).parent
PARTS = figures.FOLDER / "parts" / "order_cost.json"
BENCHMARK = "cost"
MILLION = 1_000_000
GIGABYTE = 2**30
DAY_SECONDS = 86_400
# Days and hours of a month, as the price lists count.
MONTH_DAYS = 730 / 24
MONTH_HOURS = 730
SIZES = [3, 20]
MODES = {"alone": "each record by itself", "together": "in full batches"}
# The stages of an order, and the function of each.
FUNCTIONS = {
    "tills": "pos-commands",
    "relay": "event-relay",
    "aggregator": "sales-aggregator",
    "dispatcher": "hq-dispatcher",
}
KEEPER = "stock-keeper"


@dataclass
class Deployment:
    """What the templates set."""

    memory_mb: dict[str, int]
    timeout_seconds: dict[str, int]
    stream_hours: int
    log_days: int
    alarms: int

    @staticmethod
    def read(root: Path = ROOT) -> "Deployment":
        template, messaging, observability = (
            (root / name).read_text(encoding="utf-8")
            for name in ("template.yaml", "infra/messaging.yaml", "infra/observability.yaml")
        )
        functions = re.findall(
            r"CodeUri: target/lambda/([a-z-]+)/\n +MemorySize: (\d+)\n +Timeout: (\d+)\n", template
        )
        # What is counted below is counted because of these.
        needed = {
            "Tracing: Active": template,
            "DetailedMetricsEnabled: true": template,
            "StreamMode: ON_DEMAND": messaging,
            "EncryptionType: KMS": messaging,
        }
        for setting, text in needed.items():
            if setting not in text:
                raise Failure(f"the templates say no longer {setting}: mend what cost.py counts for it")
        return Deployment(
            memory_mb={name: int(size) for name, size, _ in functions},
            timeout_seconds={name: int(seconds) for name, _, seconds in functions},
            stream_hours=number(r"RetentionPeriodHours: (\d+)", messaging),
            log_days=number(r"LogRetentionDays:\n +Type: Number\n +Default: (\d+)", template),
            alarms=observability.count("Type: AWS::CloudWatch::Alarm"),
        )


def number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    if not found:
        raise Failure(f"the templates have nothing like {pattern}: mend what cost.py reads of them")
    return int(found[1])


@dataclass
class Part:
    """One row of the sum: so many units of a price for a million orders."""

    service: str
    what: str
    units: float
    price: str
    dollars: float


class Sum:
    """The parts of a cost."""

    def __init__(self, prices: dict):
        self.prices = prices
        self.parts: list[Part] = []

    def add(self, service: str, what: str, units: float, price: str) -> None:
        self.parts.append(Part(service, what, units, price, units * self.prices[price]["price"]))

    @property
    def dollars(self) -> float:
        return sum(part.dollars for part in self.parts)

    def by_service(self) -> dict[str, float]:
        services: dict[str, float] = {}
        for part in self.parts:
            services[part.service] = services.get(part.service, 0.0) + part.dollars
        return services


def units(found: dict, kind: str) -> float:
    """All units of capacity of a stage, tables and indexes."""
    return sum(value for name, value in found.items() if name.startswith(f"{kind}_units_"))


def tables(found: dict) -> set[str]:
    return {name.rsplit("_", 1)[1] for name in found if re.match(r"(read|write)_units_", name)}


def billed_ms(found: dict, memory_mb: int, assumed: dict) -> int:
    """Milliseconds of one invocation, begun ones whole: its work on its part of a processor, and its waits
    one after the other."""
    if not found["invocations"]:
        return 0
    work = found["processor_us"] / 1e3 * max(1.0, assumed["memory_mb_of_one_processor"] / memory_mb)
    services = sum(found.get(name, 0) for name in ("database_round_trips", "kinesis_calls", "sqs_calls"))
    waits = services * assumed["service_answer_ms"] + found.get("hq_calls", 0) * assumed["hq_answer_ms"]
    return math.ceil(round((work + waits) / found["invocations"], 6))


def sweep(stages: dict, stores: int) -> dict:
    """What one sweep of the keeper asks for, of a tenant with so many stores: on the line through the two that
    were measured."""
    few, many = sorted(int(name.removeprefix("keeper ")) for name in stages if name.startswith("keeper "))
    of_few, of_many = stages[f"keeper {few}"]["found"], stages[f"keeper {many}"]["found"]
    swept = {}
    for name in of_few.keys() | of_many.keys():
        low, high = of_few.get(name, 0.0), of_many.get(name, 0.0)
        # Time that was measured may be shorter by chance where there is more to do.
        swept[name] = low + max(0.0, (high - low) / (many - few)) * (stores - few)
    return swept


def traces(invocations: float, assumed: dict) -> float:
    """Of a day's invocations of a function, those that X-Ray records."""
    first = min(invocations, assumed["trading_hours"] * 3_600)
    return first + assumed["traced_part"] * (invocations - first)


def cost(stages: dict, lines: int, mode: str, prices: dict, assumed: dict, deployed: Deployment) -> Sum:
    """The cost of a million orders, of a day with as many as assumed."""
    total = Sum(prices)
    names = {"tills": f"{lines} {mode} tills"} | {
        stage: f"{lines} {mode} {stage}" for stage in ("relay", "aggregator", "dispatcher")
    }
    found = {stage: stages[name]["found"] for stage, name in names.items()}
    # What is paid by the day is paid once for so many orders.
    days = MILLION / assumed["orders_a_day"]
    sweeps = DAY_SECONDS / 60 * days
    keeper = sweep(stages, assumed["stores"])
    commands = found["tills"]["invocations"] * MILLION

    total.add("API Gateway", "requests", commands, "api_request")

    invocations = {stage: of["invocations"] * MILLION for stage, of in found.items()} | {"keeper": sweeps}
    for stage, count in invocations.items():
        name = KEEPER if stage == "keeper" else FUNCTIONS[stage]
        of = keeper if stage == "keeper" else found[stage]
        memory = deployed.memory_mb[name]
        # No invocation is billed for longer than it may take: then it is the keeper, who goes on in a minute.
        ms = min(billed_ms(of, memory, assumed), deployed.timeout_seconds[name] * 1_000)
        total.add("Lambda", f"{name}: invocations", count, "lambda_request")
        total.add("Lambda", f"{name}: {ms} ms at {memory} MB", count * ms / 1e3 * memory / 1024, "lambda_gigabyte_second")

    for kind in ("write", "read"):
        for stage, of in found.items():
            total.add("DynamoDB", f"{FUNCTIONS[stage]}: {kind} units", units(of, kind) * MILLION, f"dynamodb_{kind}_unit")
        total.add("DynamoDB", f"{KEEPER}: {kind} units", units(keeper, kind) * sweeps, f"dynamodb_{kind}_unit")
    kept = stages[f"{lines} stored"]["found"]["bytes"] * MILLION / GIGABYTE * assumed["stored_months"]
    total.add("DynamoDB", f"storage for {assumed['stored_months']} months", kept, "dynamodb_storage")
    total.add("DynamoDB", "point-in-time recovery", kept, "dynamodb_point_in_time_recovery")

    streamed = found["relay"]["kinesis_bytes"] * MILLION / GIGABYTE
    total.add("Kinesis", "stream hours", 24 * days, "kinesis_stream_hour")
    total.add("Kinesis", "in", streamed, "kinesis_in")
    total.add("Kinesis", "out", streamed, "kinesis_out")
    longer = (deployed.stream_hours - 24) / MONTH_HOURS
    total.add("Kinesis", f"kept {deployed.stream_hours} hours", streamed * longer, "kinesis_retention")

    sent = sum(of.get("sqs_calls", 0) for of in found.values()) * MILLION
    # Each batch is received and, when done, deleted, both with one request.
    polled = 2 * invocations["dispatcher"]
    idle = assumed["queue_pollers"] * DAY_SECONDS / assumed["queue_poll_seconds"] * days
    total.add("SQS", "sends, receives, deletes", sent + polled, "sqs_fifo_request")
    total.add("SQS", "polls of the empty queue", idle, "sqs_fifo_request")

    intervals = DAY_SECONDS / assumed["kms_interval_seconds"] * days
    callers = sum(len(tables(of)) for of in [*found.values(), keeper]) * assumed["environments_per_function"]
    total.add("KMS", "tables' keys", callers * intervals, "kms_request")
    credentials = 2 * assumed["environments_per_function"]
    total.add("KMS", "the stream's keys", assumed["kinesis_shards"] * credentials * intervals, "kms_request")

    overhead = assumed["log_event_overhead_bytes"]
    platform = sum(len(line.encode()) + overhead for line in assumed["platform_log_lines"])
    own = sum((of["log_bytes"] + of["invocations"] * overhead) * MILLION for of in found.values())
    own += (keeper["log_bytes"] + overhead) * sweeps
    access = commands * (len(assumed["access_log_line"].encode()) + overhead)
    written = {
        "functions' lines": own,
        "Lambda's lines": sum(invocations.values()) * platform,
        "the API's lines": access,
    }
    for what, size in written.items():
        total.add("CloudWatch", f"logs: {what}", size / GIGABYTE, "logs_in")
    stored = sum(written.values()) / GIGABYTE * assumed["log_compression"] * deployed.log_days / MONTH_DAYS
    total.add("CloudWatch", f"logs: kept {deployed.log_days} days", stored, "logs_storage")
    months = days / MONTH_DAYS
    # duration, count, attempts, read and write units: by function and outcome, and by action too.
    told = 5 * assumed["metric_outcomes"] * (assumed["metric_actions"] + len(FUNCTIONS) + 1)
    total.add("CloudWatch", "metrics: functions", told * months, "metric_month")
    total.add("CloudWatch", "metrics: one route", assumed["route_metrics"] * months, "metric_month")
    total.add("CloudWatch", "alarms", deployed.alarms * months, "alarm_month")
    total.add("CloudWatch", "dashboard", months, "dashboard_month")

    traced = sum(traces(count / days, assumed) for count in invocations.values()) * days
    total.add("X-Ray", "traces", traced, "xray_trace")

    answers = found["tills"]["answer_bytes"] + found["tills"]["invocations"] * assumed["answer_envelope_bytes"]
    hq = found["dispatcher"]["hq_bytes"] + found["dispatcher"]["hq_calls"] * assumed["hq_request_envelope_bytes"]
    total.add("Data transfer", "answers to tills", answers * MILLION / GIGABYTE, "internet_out")
    total.add("Data transfer", "orders to HQ", hq * MILLION / GIGABYTE, "internet_out")
    return total


def table(total: Sum) -> str:
    """The parts, service by service."""
    rows = []
    for service, dollars in total.by_service().items():
        rows.append(f"  {service:48} {dollars:31.2f}")
        for part in total.parts:
            if part.service == service:
                rows.append(f"    {part.what:42} {part.units:18,.2f} {part.dollars:16.2f}")
    return "\n".join([*rows, f"  {'together':48} {total.dollars:31.2f}"])


def read_toml(name: str) -> dict:
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


def priced(measured: dict, prices: dict, assumed: dict, deployed: Deployment) -> list[tuple[str, Sum]]:
    """Each figure's name, and its parts."""
    return [
        (f"dollars_per_million_orders_of_{lines}_lines_{mode}", cost(measured["stages"], lines, mode, prices, assumed, deployed))
        for lines in SIZES
        for mode in MODES
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="cost.py")
    parser.add_argument("--parts", type=Path, default=PARTS)
    chosen = parser.parse_args()
    try:
        if not chosen.parts.is_file():
            raise Failure(f"{chosen.parts} is missing; measure it with: cargo bench -p tillstream-tests --bench order_cost")
        measured = json.loads(chosen.parts.read_text(encoding="utf-8"))
        prices, assumed = read_toml("prices.toml"), read_toml("assumptions.toml")
        sums = priced(measured, prices, assumed, Deployment.read())
    except Failure as failure:
        fail(str(failure))
        return 1
    print(f"List prices of {prices['region']} as known in {prices['known']}; see {HERE.name}/prices.toml, assumptions.toml.")
    kept = []
    for name, total in sums:
        print(f"\n{name} ({MODES[name.rsplit('_', 1)[1]]}): units, dollars\n{table(total)}")
        # Of the build, as the time that functions take is.
        kept.append(Figure(BENCHMARK, name, round(total.dollars, 2), "$", None, measured["build"]))
    print()
    for figure in kept:
        print(figure.line())
    figures.write(BENCHMARK, kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
