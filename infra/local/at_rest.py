"""What must hold whenever the system is quiet, whatever happened before."""

import json
import queue
import threading
import time
import urllib.request

import processes
from api import Api
from day import Day
from progress import note, step

# A delivery whose dispatcher was killed comes back after the queue's visibility timeout, 150 s, and one
# that the breaker kept back after a sweep, which is once a minute.
DELIVERY_SECONDS_MAX = 600
LEDGER_SECONDS_MAX = 240
READERS = 8


class Broken(AssertionError):
    """An invariant that does not hold."""


class HeadOffice:
    """The stand-in for HQ: what it accepted, and how it is told to behave."""

    def __init__(self, port: int):
        self.port = port

    def control(self, **change) -> None:
        self.request("POST", "/control", change)

    def accepted(self) -> dict[str, int]:
        """Order -> how many different messages about it were accepted."""
        return {order["order_id"]: order["accepted"] for order in self.request("GET", "/accepted")["orders"]}

    def request(self, method: str, path: str, body: dict | None = None) -> dict:
        request = urllib.request.Request(
            f"http://{processes.HOST}:{self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read() or b"{}")


def prove(stack, day: Day, orders: set[str]) -> None:
    """All of it."""
    prove_movements(stack, day)
    prove_deliveries(stack, orders)


def prove_deliveries(stack, orders: set[str]) -> None:
    """Every order of `orders` is at HQ, once; nothing is a dead letter or parked."""
    api = Api(stack.endpoint(), stack.token())
    with step("HQ has every order once") as details:
        wait_for_deliveries(api)
        dead = list(api.pages("/v1/dispatch/dead-letters"))
        hold(not dead, f"{len(dead)} dead letters, the first: {dead[:1]}")
        accepted = HeadOffice(stack.hq_port).accepted()
        wrong = {order: accepted.get(order, 0) for order in orders if accepted.get(order) != 1}
        hold(not wrong, f"{len(wrong)} of {len(orders)} orders are not there once: {dict(list(wrong.items())[:3])}")
        details.say(f"{len(orders)} orders")
    left = parked(stack)
    hold(not left, f"{len(left)} records are parked, the first: {left[:1]}")


def prove_movements(stack, day: Day) -> None:
    """Of every SKU that the day touched the movements add up to the stock."""
    with step("Movements add up to the stock") as details:
        keys = sorted(day.opening_stock())
        prove_conservation(stack, keys)
        details.say(f"{len(keys)} stock items")


def hold(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


def wait_for_deliveries(api: Api) -> None:
    deadline = time.monotonic() + DELIVERY_SECONDS_MAX
    told = time.monotonic()
    while True:
        undone = [
            delivery
            for status in ("pending", "waiting")
            for delivery in api.pages("/v1/dispatch/deliveries", status=status)
        ]
        if not undone:
            return
        if time.monotonic() > deadline:
            raise Broken(f"after {DELIVERY_SECONDS_MAX} s {len(undone)} deliveries are still open: {undone[0]}")
        if time.monotonic() - told >= 10:
            told = time.monotonic()
            note(f"{len(undone)} deliveries are open")
        time.sleep(1)


def prove_conservation(stack, keys: list[tuple[str, str]]) -> None:
    """Asks for the proof of each (location, SKU), which also must have reached the last movement."""
    work: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    for key in keys:
        work.put(key)
    wrong, failures = [], []

    def reader() -> None:
        api = Api(stack.endpoint(), stack.token())
        try:
            while not failures:
                location, sku = work.get_nowait()
                proof = proven(api, location, sku)
                if not proof["holds"] or proof["seq_reached"] != proof["seq_current"]:
                    wrong.append(proof)
        except queue.Empty:
            pass
        except Exception as error:
            failures.append(error)
        finally:
            api.close()

    threads = [threading.Thread(target=reader, daemon=True) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    hold(not wrong, f"of {len(wrong)} stock items the movements do not add up: {wrong[:2]}")


def proven(api: Api, location: str, sku: str) -> dict:
    """The proof once it has reached the last movement, which the ledger learns a moment later."""
    deadline = time.monotonic() + LEDGER_SECONDS_MAX
    while True:
        proof = api.get("/v1/inventory/conservation", location_id=location, sku=sku)
        if proof["seq_reached"] == proof["seq_current"] or not proof["holds"] or time.monotonic() > deadline:
            return proof
        time.sleep(0.5)


def parked(stack) -> list[dict]:
    """Records that a function could not understand and put aside."""
    cloud = stack.cloud()
    pages = cloud.client("dynamodb").get_paginator("query").paginate(
        TableName=cloud.outputs()["DispatchTable"],
        KeyConditionExpression="pk = :parked",
        ExpressionAttributeValues={":parked": {"S": "parked"}},
    )
    return [item for page in pages for item in page["Items"]]
