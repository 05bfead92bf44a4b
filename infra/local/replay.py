"""Replays a trading day through the public API, as four registers per store, and checks what came of it.

Every key derives from the invoice and the row, so a second replay of the same file repeats every
command and changes nothing.
"""

import contextlib
import hashlib
import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

import compare
from api import Api
from day import Adjustment, Day, Invoice, is_stocked
from progress import Failure, note, step

CONNECTIONS = 16
UPLOAD_BYTES_MAX = 3_500_000
WATERMARK_SECONDS_MAX = 600
EMPLOYEE = "e-1"
# Asks analytics which lanes of the day are not complete, and says of each where it stands.
Behind = Callable[[], list[str]]


def replay(
    stack,
    path: Path,
    speed: str = "max",
    trouble=contextlib.nullcontext,
    draining: Callable[[Behind], None] | None = None,
) -> "Outcome":
    """The whole of it: load, replay, wait, compare. `trouble` is entered while the sales are made. It is left with
    the last of them; where there is `draining`, when that is done with what is still on its way to the figures."""
    day = Day(path)
    endpoint, token = stack.endpoint(), stack.token()
    loaded = Loaded(stack.loaded_file)
    loaded.refuse_older(day)
    api = Api(endpoint, token)
    with step(f"Sample data for {day.date}: products, locations, opening stock") as details:
        details.say(load(api, day))
    loaded.begin(day)
    with contextlib.ExitStack() as troubled:
        title = f"Replay of {path.name}: {len(day.invoices)} invoices, {day.rows} rows, {CONNECTIONS} connections"
        with step(title) as details:
            troubled.enter_context(trouble())
            driven = drive(endpoint, token, day, speed)
            if draining is None:
                troubled.close()
            details.say(driven.summary())
        if draining is not None:
            draining(lambda: lanes_behind(api, day, loaded.lanes()))
    with step("Wait until the figures are complete") as details:
        details.say(wait_for_watermarks(api, day, loaded.lanes()))
    loaded.complete(day)
    print(compare.dashboard_text(api, day), flush=True)
    with step("Comparison with the file") as details:
        differences, compared = compare.compare(api, day, alone=loaded.holds_only(day))
        details.say(f"{compared} figures compared")
    if differences:
        print(f"    {len(differences)} DIFFERENCES; the first of them:")
        for difference in differences[:20]:
            print(f"      {difference}")
    else:
        note("all equal")
    return Outcome(not differences, driven)


class Loaded:
    """Which days went into the stack. Lanes count on from day to day, and a day's opening stock must
    not overwrite a later one's."""

    def __init__(self, file: Path):
        self.file = file
        self.days: dict[str, dict] = json.loads(file.read_text()) if file.exists() else {}

    def refuse_older(self, day: Day) -> None:
        later = [other for other in self.days if date.fromisoformat(other) > day.date]
        if later:
            raise Failure(
                f"{max(later)} is loaded already, and {day.date} is older: its opening stock would overwrite newer "
                f"figures.\n  Start from an empty stack with: make reset"
            )
        unfinished = [other for other, kept in self.days.items() if not kept["complete"] and other != str(day.date)]
        if unfinished:
            raise Failure(
                f"the replay of {unfinished[0]} did not finish, so its lanes are not known.\n"
                f"  Replay that file again, or start from an empty stack with: make reset"
            )

    def begin(self, day: Day) -> None:
        kept = self.days.setdefault(str(day.date), {"lanes": day.lanes(), "complete": False})
        if kept["lanes"] != day.lanes():
            raise Failure(f"another file of {day.date} is loaded; start from an empty stack with: make reset")
        self.save()

    def complete(self, day: Day) -> None:
        self.days[str(day.date)]["complete"] = True
        self.save()

    def save(self) -> None:
        self.file.write_text(json.dumps(self.days, indent=1))

    def lanes(self) -> dict[str, int]:
        """Lane -> how many numbers all loaded days together gave out."""
        counts: dict[str, int] = {}
        for kept in self.days.values():
            for lane, count in kept["lanes"].items():
                counts[lane] = counts.get(lane, 0) + count
        return counts

    def holds_only(self, day: Day) -> bool:
        return set(self.days) == {str(day.date)}


def load(api: Api, day: Day) -> str:
    """Products, locations and opening stock through the sync API. Lines that are not newer than what is
    there are skipped by the server, so a second load changes nothing."""
    told = []
    for entity, records in (("catalog", products(day)), ("locations", locations(day)), ("inventory", opening(day))):
        sent = 0
        for chunk in chunks(entity, records, day.version):
            upload(api, entity, chunk)
            sent += chunk.count("\n")
        told.append(f"{sent} {entity}")
    return ", ".join(told)


def upload(api: Api, entity: str, chunk: str) -> None:
    """Sends an upload again from where the server's time ran out, until all of it is applied."""
    headers = {
        "Content-Type": "application/x-ndjson",
        "Idempotency-Key": hashlib.sha256(chunk.encode()).hexdigest(),
    }
    path = f"/v1/sync/{entity}"
    while True:
        reply = api.post(path, chunk, headers).body
        if reply["failed"]:
            raise Failure(f"{entity}: the server refused {reply['failed']} lines: {json.dumps(reply['errors'])[:1000]}")
        if reply["next_from"] is None:
            return
        path = f"/v1/sync/{entity}?from={reply['next_from']}"


def products(day: Day):
    for sku, price in day.prices.items():
        yield sku, {
            "sku": sku,
            "name": day.names.get(sku, sku),
            "unit_price": plain(price),
            "currency": "GBP",
            "stocked": is_stocked(sku),
            "unit": "piece",
        }


def locations(day: Day):
    for store, country in sorted(day.countries.items()):
        yield store, {
            "id": store,
            "kind": "store",
            "name": country,
            "time_zone": "Europe/London",
            "currency": "GBP",
            "registers": ["r-1", "r-2", "r-3", "r-4"],
        }


def opening(day: Day):
    for (store, sku), units in sorted(day.opening_stock().items()):
        yield f"{store}/{sku}", {"location_id": store, "sku": sku, "on_hand": units}


def chunks(entity: str, records, version: int):
    """NDJSON uploads, each below the API's limit for a body."""
    text, size = [], 0
    for id, data in records:
        line = json.dumps({"id": id, "version": version, "op": "upsert", "data": data}) + "\n"
        if size + len(line) > UPLOAD_BYTES_MAX:
            yield "".join(text)
            text, size = [], 0
        text.append(line)
        size += len(line)
    yield "".join(text)


def plain(number: Decimal) -> str:
    """A decimal without an exponent or trailing zeros: "2.55", "10", "0"."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass
class Driven:
    """What the connections did."""

    seconds: float = 0
    commands: int = 0
    repeated: int = 0
    replays: int = 0
    orders: set[str] = field(default_factory=set)
    failures: list[Exception] = field(default_factory=list)

    def summary(self) -> str:
        rate = self.commands / self.seconds if self.seconds else 0
        return (
            f"{self.commands} requests ({rate:.0f} a second), {self.repeated} sent again, "
            f"{self.replays} answered as replays"
        )


@dataclass(frozen=True)
class Outcome:
    equal: bool
    driven: Driven


def drive(endpoint: str, token: str, day: Day, speed: str = "max") -> Driven:
    """Works the day off over several connections. Invoices start in file order; one invoice's commands
    follow each other."""
    work: queue.SimpleQueue[Invoice | Adjustment] = queue.SimpleQueue()
    for item in [*day.invoices, *day.adjustments]:
        work.put(item)
    driven, lock = Driven(), threading.Lock()
    stopped = threading.Event()
    started = time.monotonic()
    clock = Clock(day, speed)

    def connection() -> None:
        api = Api(endpoint, token)
        register = Register(api)
        while not stopped.is_set():
            try:
                item = work.get_nowait()
            except queue.Empty:
                break
            try:
                clock.wait_for(item)
                register.perform(item)
            except Exception as error:  # Told by the main thread, which owns the terminal.
                with lock:
                    driven.failures.append(error)
                stopped.set()
        with lock:
            driven.repeated += register.repeated
            driven.replays += register.replays
            driven.commands += register.commands
            driven.orders |= register.orders
        api.close()

    threads = [threading.Thread(target=connection, daemon=True) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    total, told = len(day.invoices) + len(day.adjustments), time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.1)
        if time.monotonic() - told >= 5:
            told = time.monotonic()
            note(f"{total - work.qsize()} of {total} invoices begun after {told - started:.0f} s")
    driven.seconds = time.monotonic() - started
    if driven.failures:
        raise driven.failures[0]
    return driven


class Clock:
    """The day's own pace, sped up; or none."""

    def __init__(self, day: Day, speed: str):
        try:
            self.factor = None if speed == "max" else float(speed)
        except ValueError:
            raise Failure(f"SPEED is max or a number, not {speed!r}") from None
        self.opened = min(invoice.time for invoice in day.invoices)
        self.started = time.monotonic()

    def wait_for(self, item: Invoice | Adjustment) -> None:
        if self.factor and isinstance(item, Invoice):
            due = self.started + (item.time - self.opened).total_seconds() / self.factor
            time.sleep(max(0.0, due - time.monotonic()))


class Register:
    """Performs invoices over one connection, one command after another."""

    def __init__(self, api: Api):
        self.api = api
        self.commands = 0
        self.repeated = 0
        self.replays = 0
        self.orders: set[str] = set()

    def perform(self, item: Invoice | Adjustment) -> None:
        if isinstance(item, Adjustment):
            self.adjust(item)
        elif item.is_return:
            self.give_back(item)
        else:
            self.sell(item)

    def sell(self, invoice: Invoice) -> None:
        cart = f"c-{invoice.number}"
        opening = {"cart_id": cart} | ({"customer_id": invoice.customer} if invoice.customer else {})
        self.command(invoice, "create_cart", opening)
        for line in invoice.lines:
            self.command(
                invoice,
                "add_line_item",
                {
                    "cart_id": cart,
                    "sku": line.sku,
                    "quantity": line.quantity,
                    "unit_price_override": plain(line.unit_price),
                },
                line.row,
            )
        self.command(invoice, "set_tendering", {"cart_id": cart})
        if invoice.pence:
            self.command(invoice, "add_payment", {"cart_id": cart, "tender": "card", "amount": pounds(invoice.pence)})
        self.command(invoice, "finalize_order", {"cart_id": cart})

    def give_back(self, invoice: Invoice) -> None:
        id = f"r-{invoice.digits}"
        self.command(invoice, "start_return", {"return_id": id, "reason": "customer return"})
        for line in invoice.lines:
            self.command(
                invoice,
                "return_line_item",
                {
                    "return_id": id,
                    "sku": line.sku,
                    "quantity": line.quantity,
                    "disposition": "restock",
                    "unit_price": plain(line.unit_price),
                },
                line.row,
            )
        if invoice.pence:
            self.command(
                invoice, "refund_tender", {"return_id": id, "tender": "card", "amount": pounds(invoice.pence)}
            )
        self.command(invoice, "finalize_return", {"return_id": id})

    def adjust(self, adjustment: Adjustment) -> None:
        body = {
            "location_id": adjustment.store,
            "sku": adjustment.sku,
            "kind": "delta",
            "quantity": -adjustment.quantity,
            "reason": adjustment.reason,
        }
        key = f"{adjustment.number}-{adjustment.row}-adjust"
        self.count(self.api.post("/v1/inventory/update", body, {"Idempotency-Key": key}))

    def command(self, invoice: Invoice, action: str, payload: dict, row: int | None = None) -> None:
        key = f"{invoice.number}-{action}" if row is None else f"{invoice.number}-{row}-{action}"
        envelope = {
            "version": "1",
            "idempotency_key": key,
            "store_id": invoice.store,
            "register_id": invoice.register,
            "employee_id": EMPLOYEE,
            "occurred_at": invoice.time.isoformat(),
            "reply": "summary",
            "action": action,
            "payload": payload,
        }
        reply = self.api.post("/v1/pos/command", envelope)
        self.count(reply)
        if action in ("finalize_order", "finalize_return"):
            self.orders.add(reply.body["result"]["order_id"])

    def count(self, reply) -> None:
        self.commands += 1
        self.repeated += reply.attempts - 1
        self.replays += reply.is_replay


def pounds(pence: int) -> dict:
    return {"amount": pence, "currency": "GBP"}


def wait_for_watermarks(api: Api, day: Day, lanes: dict[str, int]) -> str:
    """Waits until analytics says of every lane of the day that nothing is missing."""
    deadline = time.monotonic() + WATERMARK_SECONDS_MAX
    told = time.monotonic()
    while True:
        late = lanes_behind(api, day, lanes)
        if not late:
            return f"{len(day.lanes())} lanes complete"
        if time.monotonic() > deadline:
            raise Failure(
                f"figures are not complete after {WATERMARK_SECONDS_MAX} s; behind are: {'; '.join(late[:8])}\n"
                f"  make logs shows what the functions say"
            )
        if time.monotonic() - told >= 5:
            told = time.monotonic()
            note(f"{len(late)} lanes behind, among them {late[0]}")
        time.sleep(0.25)


def lanes_behind(api: Api, day: Day, lanes: dict[str, int]) -> list[str]:
    behind = []
    for store in day.stores():
        reply = api.get("/v1/analytics/dashboard", store_id=store, date=day.date)
        reached = reply["watermark"]["lanes"]
        for lane in sorted(lane for lane in day.lanes() if lane.startswith(f"{store}/")):
            state = reached.get(lane, {"through": 0, "gaps": []})
            if state["through"] < lanes[lane] or state["gaps"]:
                behind.append(f"{lane} at {state['through']} of {lanes[lane]}, gaps {state['gaps']}")
    return behind
