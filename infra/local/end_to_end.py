"""End-to-end tests: real days through the public API of a whole stack, with things going wrong.

    end_to_end.py [SCENARIO ...]

Without a choice the scenarios of `USUAL` run, with `all` every one. Those of a lane follow each other on a stack
of its own, on other ports and in another directory, which is stopped again. Where scenarios of both lanes are
chosen, the two run side by side: most of a scenario is one process, the emulator, and most machines have two cores.
"""

import argparse
import contextlib
import functools
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import prerequisites
import processes
import side_by_side
from prerequisites import ROOT
from progress import Failure, fail, note, step
from side_by_side import Program

DAYS = ROOT / "tests" / "data" / "online-retail"
# Of what a lane said in a scenario that failed, so many lines are shown again at the end.
LINES_TOLD = 80
# What should not happen would happen late: so long the streams have to carry it.
LATE_SECONDS = 5
# Where a machine has much else to do.
TROUBLE_SECONDS_MAX = 180
SENT_AGAIN_SECONDS_MAX = 180


@dataclass(frozen=True)
class Lane:
    """Scenarios in their order, and what their stack has for itself. Each replays a later day than the one before,
    but for those of `ALONE`."""

    name: str
    scenarios: tuple[str, ...]
    directory: Path
    # The emulator's; the next ones are those of HQ, and of where functions find AWS and HQ while these fail.
    port: int

    def ports(self) -> list[int]:
        return list(range(self.port, self.port + 4))

    def stack(self):
        from stack import LocalStack

        emulator, hq, _, _ = self.ports()
        return LocalStack(self.directory, emulator, hq, built_with_tests=True)


LANES = (
    Lane("a", ("from_empty", "killed", "hq", "contention", "bad_input"), ROOT / "target" / "end-to-end", 4590),
    Lane(
        "b",
        ("stream", "busiest", "openapi", "contract", "events", "chaos"),
        ROOT / "target" / "end-to-end-b",
        4595,
    ),
)

# Processes killed in a scenario: the emulator keeps something of each, and is slower with every one.
KILLS_MAX = 250
# So long after its start a process is at work.
SETTLED_SECONDS = 1.5


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


class EndToEnd:
    """A running stack, and what the scenarios share."""

    def __init__(self, lane: Lane, stack):
        self.lane, self.stack = lane, stack
        # Every order that was ever answered: HQ must have each of them once.
        self.orders: set[str] = set()
        # The scenarios that used the stack since it was empty.
        self.used_by: list[str] = []

    def begin(self, name: str) -> None:
        """An empty stack for the scenario, if it cannot go on with what earlier ones left."""
        if self.used_by and (name in ALONE or not ALONE.isdisjoint(self.used_by)):
            self.stack.reset(build=False)
            self.orders.clear()
            self.used_by.clear()
        self.used_by.append(name)

    def api(self):
        from api import Api

        return Api(self.stack.endpoint(), self.stack.token())

    def replay(self, name: str, trouble=contextlib.nullcontext, draining=None):
        """Replays a day, with trouble while its sales are made, and until `draining` is done with what is on its
        way to the figures then; returns what the connections did."""
        import replay

        outcome = replay.replay(self.stack, DAYS / f"{name}.csv", trouble=trouble, draining=draining)
        self.orders |= outcome.driven.orders
        expect(outcome.equal, f"{name} is not what its file says")
        return outcome.driven

    def figures(self, name: str) -> str:
        """Everything the API says of a day: to see whether anything moved."""
        from day import Day

        day, api = Day(DAYS / f"{name}.csv"), self.api()
        said = []
        for store in day.stores():
            query = {"store_id": store, "from": day.date, "to": day.date}
            dashboard = api.get("/v1/analytics/dashboard", store_id=store, date=day.date)
            said.append([dashboard["rows"], dashboard["watermark"]["lanes"]])
            said.append(api.get("/v1/analytics/sales", **query, granularity="hour", group_by="store")["rows"])
            said.append(list(api.pages("/v1/analytics/products", items="rows", **query, order_by="net_sales")))
            said.append(list(api.pages(f"/v1/locations/{store}/inventory")))
        return json.dumps(said, sort_keys=True)

    def twice(self, name: str) -> None:
        """Makes every request of a day again: all are answered as replays, no figure moves, and what must hold at
        rest holds."""
        import at_rest
        import replay
        from day import Day

        before, day = self.figures(name), Day(DAYS / f"{name}.csv")
        with step("The same day a second time") as details:
            driven = replay.drive(self.stack.endpoint(), self.stack.token(), day)
            details.say(driven.summary())
        expect(driven.replays == driven.commands, f"{driven.commands - driven.replays} commands took effect again")
        # What should not happen would happen late. Nothing of this reads a figure or asks HQ.
        carried = time.monotonic() + LATE_SECONDS
        at_rest.prove_movements(self.stack, day)
        time.sleep(max(0.0, carried - time.monotonic()))
        expect(self.figures(name) == before, "figures moved")
        at_rest.prove_deliveries(self.stack, self.orders)

    # Scenarios

    def from_empty(self) -> None:
        """A day into an empty stack, twice: every figure is the file's, and the second time changes nothing."""
        self.replay("2010-12-01")
        self.twice("2010-12-01")

    def killed(self) -> None:
        """Functions are killed at random all through a day: nothing is lost, nothing is done twice."""
        kills = []
        self.replay("2010-12-02", lambda: self.meanwhile(self.kill_functions, kills))
        self.tell_kills(kills)
        self.twice("2010-12-02")

    def hq(self) -> None:
        """A day, twice, while HQ fails for a third, is down, comes back, and refuses one order: sales go on, the
        others reach it once, and every figure is the file's."""
        poison = []
        self.replay("2010-12-03", lambda: self.meanwhile(self.trouble_hq, poison))
        self.prove_dead_letter(poison)
        self.twice("2010-12-03")

    def stream(self) -> None:
        """The orders' stream is deleted in the middle of a day and made anew: delay, no loss."""
        began = time.time()
        self.replay("2011-10-31", lambda: self.meanwhile(self.renew_stream))
        self.prove_sent_again(began)
        self.twice("2011-10-31")

    def busiest(self) -> None:
        """The busiest day, with invoices of up to 721 lines; how long it takes is printed."""
        import at_rest
        from day import Day

        self.replay("2011-12-05")
        at_rest.prove(self.stack, Day(DAYS / "2011-12-05.csv"), self.orders)

    def contention(self) -> None:
        """Many clients at once, over HTTP: identical commands have one effect, rivals have one winner."""
        import contention

        contention.run(self.stack)

    def bad_input(self) -> None:
        """A hostile client: everything wrong has its own answer, and nothing is changed by it."""
        import bad_input

        bad_input.run(self.stack)

    def openapi(self) -> None:
        """Thousands of requests made from the OpenAPI document: every answer is one that it knows."""
        import openapi

        openapi.run(self.stack)

    def contract(self) -> None:
        """The suite that every database must pass, with streams and consumed capacity, on the emulator's DynamoDB:
        dynoxide and the one in memory pass it in every test run. What the emulator does otherwise is told."""
        # Of the whole workspace, as everything is built: the package alone has other features.
        command = ["cargo", "test", "--locked", "--workspace", "--test", "database_contract"]
        here = {**os.environ, "DYNAMODB_CONTRACT_ENDPOINT": f"http://{processes.HOST}:{self.stack.port}"}
        tested = subprocess.run([*command, "--", "--nocapture"], env=here, cwd=ROOT, capture_output=True, text=True)
        said = tested.stdout + tested.stderr
        expect(tested.returncode == 0, f"the emulator breaks the contract:\n{said}")
        expect("3 passed" in said and "skipped" not in said, f"not all of the contract was tested:\n{said}")
        for deviation in deviations(said):
            note(deviation)

    def events(self) -> None:
        """Every sample event through its function, by cargo lambda invoke."""
        import packaging

        command = [sys.executable, str(ROOT / "infra" / "lambda" / "functions.py"), "invoke-all"]
        # What this stack was deployed from: cargo lambda would build all of it again, with other features.
        command += ["--built", str(packaging.built_directory(os.environ.get("PROFILE", "dev")))]
        answered = subprocess.run(command, env={**os.environ, "STACK_DIRECTORY": str(self.stack.directory)})
        expect(answered.returncode == 0, "not every sample event was answered")

    def chaos(self) -> None:
        """Functions are killed and what they call fails in every way that AWS and HQ have, until the figures are
        complete: exact all the same."""
        import chaos

        name = "2010-12-03"
        kills, began = [], int(time.time() * 1000)
        # Not as often as where nothing else happens: what is killed at once meets no other fault.
        kill = functools.partial(self.kill_functions, every=0.5)
        _, _, proxy_port, proxy_hq_port = self.lane.ports()
        with chaos.proxied(self.stack, proxy_port, proxy_hq_port) as proxy:

            @contextmanager
            def trouble():
                with chaos.faulty(proxy), self.meanwhile(kill, kills):
                    yield

            self.replay(name, trouble, draining=functools.partial(chaos.drain, proxy))
            self.tell_kills(kills)
            chaos.require_every_kind(proxy.counts())
            self.twice(name)
            chaos.require_no_defect(self.stack, began)

    @contextmanager
    def meanwhile(self, trouble, log: list | None = None):
        """Runs `trouble(log, over)` beside the body; it may append to `log` and ends when `over` is set."""
        log = [] if log is None else log
        over, errors = threading.Event(), []

        def run() -> None:
            try:
                trouble(log, over)
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield log
        finally:
            over.set()
            thread.join()
        if errors:
            raise errors[0]

    def kill_functions(self, log: list, over: threading.Event, every: float = 0.4) -> None:
        choice = random.Random(20101202)
        while len(log) < KILLS_MAX and not over.wait(every):
            running = defaultdict(list)
            for id, name in function_processes(self.stack.emulator.id()):
                # One that is still starting has nothing in hand to lose; and where all of them are killed as they
                # start, a slow machine gets nothing done.
                if processes.age(id) >= SETTLED_SECONDS:
                    running[name].append(id)
            if running:
                # Each function alike: there are many more processes of one than of the others.
                name = choice.choice(sorted(running))
                processes.send(choice.choice(running[name]), signal.SIGKILL)
                log.append(name)

    def tell_kills(self, kills: list) -> None:
        """How many processes of what were killed; of the pipeline each must be among them."""
        killed = Counter(kills)
        note(f"{len(kills)} processes killed: {', '.join(f'{count} {name}' for name, count in killed.items())}")
        spared = [name for name in PIPELINE if not any(victim.endswith(name) for victim in killed)]
        expect(len(kills) >= 10 and not spared, f"{len(kills)} processes were killed, and none of {spared}")

    def trouble_hq(self, poison: list, over: threading.Event) -> None:
        def called(least: int, seconds: int) -> int:
            """Waits for so many calls to HQ, and so long unless the sales end before; how many there were."""
            before, deadline = self.hq_seen()["requests"], time.monotonic() + TROUBLE_SECONDS_MAX
            over.wait(seconds)
            while (calls := self.hq_seen()["requests"] - before) < least:
                expect(time.monotonic() < deadline, f"HQ was called only {calls} times in its trouble")
                time.sleep(0.2)
            return calls

        before = self.hq_seen()
        self.hq_control(mode="accept", fail_percent=30)
        failing = called(least=20, seconds=5)
        # Down: it closes every connection. What it received is in its memory, so it is silenced, not ended.
        known = self.hq_accepted()
        after = self.hq_seen()
        taken = sum(after[name] - before[name] for name in ("count", "repeated"))
        self.hq_control(mode="down")
        down = called(least=3, seconds=10)
        note(f"HQ: {failing} calls while it failed now and then, {taken} of them taken; {down} while it was down")
        # An order of the outage, which HQ has not seen: that one it will not have.
        sold = self.api().pages("/v1/orders", **{"from": "2010-12-03", "to": "2010-12-03"})
        poison += [order["id"] for order in sold if order["id"] not in known][:1]
        self.hq_control(mode="accept", fail_percent=0, refuse_orders=poison)

    def prove_dead_letter(self, poison: list) -> None:
        """The refused order alone is a dead letter, says why, and goes through once HQ takes it."""
        import at_rest

        expect(len(poison) == 1, "no order was made during the outage")
        api = self.api()
        with step("One order is refused, and only it becomes a dead letter") as details:
            at_rest.wait_for_deliveries(api)
            dead = [letter["order_id"] for letter in api.pages("/v1/dispatch/dead-letters")]
            expect(dead == poison, f"dead letters: {dead}, but {poison} was refused")
            [letter] = api.pages("/v1/dispatch/dead-letters", order_id=poison[0])
            seen = api.get(f"/v1/dispatch/dead-letters/{letter['id']}")
            refusals = [attempt for attempt in seen["attempt_log"] if attempt["status"] == 422]
            expect(len(seen["attempt_log"]) == letter["attempts"], f"attempts are missing: {seen}")
            expect(len(refusals) == letter["refusals"] >= 2, f"refusals are missing: {seen}")
            expect(seen["payload"]["order_id"] == poison[0], f"it is not to be seen what is sent: {seen}")
            details.say(f"{len(seen['attempt_log'])} attempts, {len(refusals)} of them refused")
        with step("Replayed, it reaches HQ"):
            self.hq_control(refuse_orders=[])
            headers = {"Idempotency-Key": f"replay-{letter['id']}"}
            api.post(f"/v1/dispatch/dead-letters/{letter['id']}/replay", {}, headers)
            at_rest.wait_for_deliveries(api)
            expect(self.hq_accepted().get(poison[0]) == 1, "HQ did not get it once")

    def renew_stream(self, log: list, over: threading.Event) -> None:
        cloud = self.stack.cloud()
        table = cloud.outputs()["OrdersTable"]
        database, functions = cloud.client("dynamodb"), cloud.client("lambda")
        over.wait(3)
        old = database.describe_table(TableName=table)["Table"]["LatestStreamArn"]
        database.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
        # Sales of these seconds are in no stream.
        over.wait(3)
        specification = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        database.update_table(TableName=table, StreamSpecification=specification)
        new = database.describe_table(TableName=table)["Table"]["LatestStreamArn"]
        expect(new != old, "the stream was not made anew")
        # A new stream has a new address, so its event source is made anew too.
        [source] = functions.list_event_source_mappings(EventSourceArn=old)["EventSourceMappings"]
        kept = (
            "BatchSize", "FilterCriteria", "FunctionResponseTypes", "BisectBatchOnFunctionError",
            "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "ParallelizationFactor", "DestinationConfig",
        )  # fmt: skip
        functions.delete_event_source_mapping(UUID=source["UUID"])
        functions.create_event_source_mapping(
            EventSourceArn=new,
            FunctionName=source["FunctionArn"],
            StartingPosition="TRIM_HORIZON",
            **{name: source[name] for name in kept if source.get(name) is not None},
        )

    def prove_sent_again(self, began: float) -> None:
        """The stock keeper says that it found sales which no stream had told of."""
        with step("Sales of the time without a stream were sent again") as details:
            deadline = time.monotonic() + SENT_AGAIN_SECONDS_MAX
            while True:
                said = [message for _, _, message in self.stack.log_events(int(began * 1000))]
                runs = [json.loads(message) for message in said if '"sent_again"' in message]
                if count := sum(run["sent_again"] for run in runs):
                    break
                # It says so when its run ends.
                expect(time.monotonic() < deadline, f"none, in {len(runs)} runs of the stock keeper")
                time.sleep(1)
            details.say(f"{count} facts")

    def hq_control(self, **change) -> None:
        import at_rest

        at_rest.HeadOffice(self.stack.hq_port).control(**change)

    def hq_seen(self) -> dict:
        import at_rest

        return at_rest.HeadOffice(self.stack.hq_port).request("GET", "/accepted")

    def hq_accepted(self) -> dict[str, int]:
        import at_rest

        return at_rest.HeadOffice(self.stack.hq_port).accepted()


# What a sale passes through: each of these is killed in the scenario of that name.
PIPELINE = ["pos-commands", "event-relay", "sales-aggregator", "hq-dispatcher"]
SCENARIOS = [name for lane in LANES for name in lane.scenarios]
# Begins with an empty stack, and what comes after it too: the emulator is slower for every function that was
# killed, the sample events leave parked records, and the day of `chaos` is not a later one.
ALONE = {"killed", "chaos"}
# Not what every change must pass, for they take longer than all the others together: `hq` is `from_empty` with
# trouble, `chaos` kills as `killed` does, and all five days are replayed in process by every `cargo test`.
LONG = {"from_empty", "killed", "stream", "busiest"}
USUAL = [name for name in SCENARIOS if name not in LONG]


def deviations(said: str) -> list[str]:
    """What the contract suite told of emulators that do otherwise than DynamoDB."""
    return sorted(re.findall(r"\S+ is not as DynamoDB: .*", said))


def function_processes(emulator: int) -> list[tuple[int, str]]:
    """(process, function) of every function that runs now."""
    found = []
    for id in processes.descendants(emulator):
        try:
            command = Path(f"/proc/{id}/cmdline").read_bytes()
            variables = Path(f"/proc/{id}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        names = [value for value in variables if value.startswith(b"AWS_LAMBDA_FUNCTION_NAME=")]
        if command.rstrip(b"\0").endswith(b"/bootstrap") and names:
            found.append((id, names[0].partition(b"=")[2].decode()))
    return found


def run(lane: Lane, names: list[str], build: bool, keep: bool) -> int:
    """Scenarios of a lane, one after the other."""
    stack = lane.stack()
    passed, failed = 0, 0
    try:
        stack.reset(build)
        tests = EndToEnd(lane, stack)
        for name in names:
            scenario = getattr(tests, name)
            print(f"\n--- {name}: {scenario.__doc__}", flush=True)
            started = time.monotonic()
            try:
                tests.begin(name)
                scenario()
                passed += 1
                print(f"--- {name}: passed in {time.monotonic() - started:.0f} s", flush=True)
            except (AssertionError, Failure) as error:
                failed += 1
                fail(f"{name}: {error}")
            except Exception:
                failed += 1
                traceback.print_exc()
            if stack.emulator.id() is None:
                fail("the emulator is gone")
                break
    finally:
        if not keep:
            with step("Stop"):
                stack.stop()
    failed += len(names) - passed - failed
    print(f"\n{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def run_beside(chosen: list[tuple[Lane, list[str]]], build: bool, keep: bool) -> int:
    """Scenarios of several lanes, each lane by a program of its own, of what is built once."""
    if build:
        chosen[0][0].stack().build()
    programs = []
    for lane, names in chosen:
        command = [sys.executable, __file__, "--no-build", *(["--keep"] if keep else []), *names]
        programs.append(Program(lane.name, command, lane.directory / "end_to_end.log"))
    try:
        side_by_side.run(programs)
    finally:
        for lane, _ in chosen:
            if not keep:
                stop_left(lane)
    print(flush=True)
    for program in programs:
        if program.status != 0:
            print(f"--- {program.name}: where it failed; all that it said is in {program.log.relative_to(ROOT)}")
            print("\n".join(told_again(program.said())), flush=True)
    for program, (_, names) in zip(programs, chosen, strict=True):
        ended = "passed" if program.status == 0 else f"FAILED with status {program.status}"
        print(f"--- {program.name} ({', '.join(names)}): {ended} in {program.seconds:.0f} s", flush=True)
    return 0 if all(program.status == 0 for program in programs) else 1


def stop_left(lane: Lane) -> None:
    """Stops what a lane started and was killed before it could stop it."""
    left = [processes.Process(name, lane.directory) for name in ("fault-proxy", "ministack", "hq-stand-in")]
    for process in left:
        if process.id() is not None and process.stop():
            note(f"stopped {process.name}, which {lane.name} left")


def told_again(said: list[str]) -> list[str]:
    """The end of each scenario that did not pass; of the last part where all did, or none began."""
    begins = [number for number, line in enumerate(said) if is_begin(line)]
    parts = [said[begin:end] for begin, end in itertools.pairwise([*begins, len(said)])] or [said]
    failed = [part for part in parts if not any(is_pass(line) for line in part)]
    return [line for part in failed or parts[-1:] for line in part[-LINES_TOLD:]]


def is_begin(line: str) -> bool:
    return line.startswith("--- ") and not is_pass(line)


def is_pass(line: str) -> bool:
    return line.startswith("--- ") and ": passed in " in line


def main() -> int:
    parser = argparse.ArgumentParser(prog="end_to_end.py")
    parser.add_argument("scenarios", nargs="*", help=f"all, or any of {', '.join(SCENARIOS)}")
    parser.add_argument("--no-build", action="store_true", help="use what was built before")
    parser.add_argument("--keep", action="store_true", help="leave the stack running, to look at it")
    chosen = parser.parse_args()
    every = chosen.scenarios == ["all"]
    unknown = set() if every else set(chosen.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    wanted = set(SCENARIOS if every else chosen.scenarios or USUAL)
    lanes = [(lane, [name for name in lane.scenarios if name in wanted]) for lane in LANES]
    lanes = [(lane, names) for lane, names in lanes if names]
    build = not chosen.no_build
    try:
        prerequisites.enter_environment()
        side_by_side.catch_signals()
        if len(lanes) == 1:
            [(lane, names)] = lanes
            return run(lane, names, build, chosen.keep)
        return run_beside(lanes, build, chosen.keep)
    except Failure as failure:
        fail(str(failure))
        return 1
    except KeyboardInterrupt:
        fail("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
