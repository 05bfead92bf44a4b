"""A store of its own, what its tills and stock are made to hold, and senders that begin at the same moment."""

import secrets
import threading
import time
from collections import Counter

import actions

TENANT = "contention"
AT_ONCE = 20
ROUNDS = 5
PRICE_PENCE = 250
# So long a function waits for an answer of the database before it asks again (shared/aws/src/clients.rs).
DATABASE_SECONDS_MAX = 4


def expect(holds: bool, what) -> None:
    if not holds:
        raise AssertionError(what)


def expect_equal(found, wanted, what: str) -> None:
    expect(found == wanted, f"{what}: {found!r}, expected {wanted!r}")


def pounds(pence: int) -> dict:
    return {"amount": pence, "currency": "GBP"}


class ContendedStore:
    """One store with its registers, and senders that begin at the same moment."""

    def __init__(self, stack):
        from api import Api

        tokens = {role: stack.token(TENANT, role, ["*"]) for role in ("operator", "cashier", "store_manager")}
        self.new_api = lambda role="operator": Api(stack.endpoint(), tokens[role])
        self.api = self.new_api()
        self.run = secrets.token_hex(4)
        self.store, self.elsewhere = f"s-{self.run}", f"w-{self.run}"
        self.registers = [f"r-{number}" for number in range(1, 13)]
        self.plenty = f"plenty-{self.run}"
        self.coupon, self.promotion = f"TEN-{self.run}", f"by-hand-{self.run}"
        self.skus: set[str] = {self.plenty}
        self.serial = 0
        # What the checks made, to be found again in the figures at the end.
        self.sales: Counter[str] = Counter()
        self.returns: Counter[str] = Counter()

    # Loading and single requests

    def load(self) -> None:
        places = [(self.store, "store", self.registers), (self.elsewhere, "warehouse", [])]
        self.upload(
            "locations",
            [
                (id, {"id": id, "kind": kind, "name": id, "time_zone": "Europe/London", "currency": "GBP",
                      "registers": registers})
                for id, kind, registers in places
            ],
        )  # fmt: skip
        self.product(self.plenty, 100_000)
        tenth = {"benefit": {"percentage": {"bps": 1_000}}}
        self.upload("coupons", [(self.coupon, tenth)])
        self.upload("promotions", [(self.promotion, {"name": "By hand", "automatic": False, **tenth})])
        # Another process may remember for so long that there was none.
        self.rules_known_at = time.monotonic() + actions.RULES_SECONDS

    def upload(self, entity: str, records: list) -> None:
        import replay

        for chunk in replay.chunks(entity, records, 1):
            replay.upload(self.api, entity, chunk)

    def product(self, sku: str, units: int, elsewhere: int = 0) -> str:
        """A product with so many units in the store."""
        data = {"sku": sku, "name": sku, "unit_price": "2.50", "currency": "GBP"}
        self.upload("catalog", [(sku, data)])
        opening = [(self.store, units), (self.elsewhere, elsewhere)]
        stocks = [{"location_id": at, "sku": sku, "on_hand": units} for at, units in opening if units]
        self.upload("inventory", [(f"{stock['location_id']}/{sku}", stock) for stock in stocks])
        self.skus.add(sku)
        return sku

    def name(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}-{self.run}-{self.serial}"

    def envelope(self, action: str, payload: dict, register: str, key: str | None = None) -> dict:
        return {
            "version": "1",
            "idempotency_key": key or self.name("k"),
            "store_id": self.store,
            "register_id": register,
            "action": action,
            "payload": payload,
        }

    def command(self, action: str, payload: dict, register: str = "r-1"):
        return self.api.post("/v1/pos/command", self.envelope(action, payload, register)).body

    def order_of(self, sku: str, quantity: int) -> dict:
        return {"store_id": self.store, "channel": "web", "lines": [{"sku": sku, "quantity": quantity}]}

    def stock(self, sku: str, location: str | None = None) -> dict:
        return self.api.get(f"/v1/inventory/{location or self.store}/{sku}")

    # Carts as they stand before a check

    def open_cart(self, register: str, lines: int = 0, sku: str | None = None) -> str:
        cart = self.name("c")
        self.command("create_cart", {"cart_id": cart}, register)
        for _ in range(lines):
            payload = {"cart_id": cart, "sku": sku or self.plenty, "quantity": 1}
            self.command("add_line_item", payload, register)
        return cart

    def tendering_cart(self, register: str, lines: int = 1, sku: str | None = None) -> str:
        cart = self.open_cart(register, lines, sku)
        self.command("set_tendering", {"cart_id": cart}, register)
        return cart

    def paid_cart(self, register: str, lines: int = 1, sku: str | None = None) -> str:
        cart = self.tendering_cart(register, lines, sku)
        payment = {"cart_id": cart, "tender": "card", "amount": pounds(PRICE_PENCE * lines)}
        self.command("add_payment", payment, register)
        return cart

    def sold_cart(self, register: str, lines: int = 1) -> str:
        cart = self.paid_cart(register, lines)
        self.command("finalize_order", {"cart_id": cart}, register)
        self.sales[register] += 1
        return cart

    def open_return(self, register: str, sale: str, lines: int = 0, refunded: bool = False) -> str:
        id = self.name("r")
        payload = {"return_id": id, "original_order_id": sale, "reason": "does not fit"}
        self.command("start_return", payload, register)
        for number in range(1, lines + 1):
            line = {"return_id": id, "line_id": f"l-{number}", "quantity": 1, "disposition": "restock"}
            self.command("return_line_item", line, register)
        if refunded:
            refund = {"return_id": id, "tender": "card", "amount": pounds(PRICE_PENCE * lines)}
            self.command("refund_tender", refund, register)
        return id

    def approval(self, register: str, cart: str) -> tuple[str, dict]:
        """An approval of another price that was granted, and the line that it is good for."""
        line = {"cart_id": cart, "sku": self.plenty, "quantity": 1, "unit_price_override": "0.50"}
        asked = {"store_id": self.store, "register_id": register, "action": "price_override", "reason": "dented", **line}
        cashier, manager = self.new_api("cashier"), self.new_api("store_manager")
        try:
            id = cashier.post("/v1/approvals", asked, {"Idempotency-Key": self.name("k")}).body["approval_id"]
            manager.post(f"/v1/approvals/{id}/grant", {}, {"Idempotency-Key": self.name("k")})
        finally:
            cashier.close()
            manager.close()
        return id, {**line, "approval_id": id}

    # At once

    def at_once(self, requests: list, connections: int | None = None, role: str = "operator") -> list:
        """Sends (path, body, headers) all at once, as `role`; answers by position. What says to repeat is
        repeated as any client would; every other answer is an answer."""
        from api import Refused

        connections = min(connections or len(requests), len(requests))
        barrier = threading.Barrier(connections)
        replies: list = [None] * len(requests)

        def sender(first: int) -> None:
            api = self.new_api(role)
            try:
                api.get("/v1/health")
                barrier.wait()
                for position in range(first, len(requests), connections):
                    path, body, headers = requests[position]
                    try:
                        replies[position] = api.post(path, body, headers)
                    except Refused as refusal:
                        replies[position] = refusal.reply
            except Exception as error:  # Told by the thread that asked for it.
                barrier.abort()
                replies[first] = error
            finally:
                api.close()

        threads = [threading.Thread(target=sender, args=(at,), daemon=True) for at in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if errors:
            # A broken barrier is only the echo of what broke it.
            raise next((e for e in errors if not isinstance(e, threading.BrokenBarrierError)), errors[0])
        return replies

    def commands_at_once(self, envelopes: list[dict], role: str = "operator") -> list:
        return self.at_once([("/v1/pos/command", envelope, {}) for envelope in envelopes], role=role)

    def finalised_at_once(self, carts: list[str], register: str, action: str = "finalize_order") -> list:
        name = "return_id" if action == "finalize_return" else "cart_id"
        return self.commands_at_once([self.envelope(action, {name: cart}, register) for cart in carts])

    def expect_one_effect(self, what: str, replies: list, same) -> None:
        """All succeeded alike, and all but one say that they repeat another."""
        statuses = Counter(reply.status for reply in replies)
        refusals = Counter(reply.body.get("code") for reply in replies if reply.status >= 400)
        alike = len(statuses) == 1 and not refusals
        expect(alike, f"{what}: statuses {dict(statuses)}, codes {dict(refusals)}")
        different = {repr(same(reply.body)) for reply in replies}
        expect(len(different) == 1, f"{what}: {len(different)} different results: {sorted(different)[:3]}")
        first = sum(not reply.is_replay for reply in replies)
        # Where an answer was lost or was a 503, the repetition that found its own effect is a replay too; a function
        # repeats by itself what the database has not answered in time.
        repeated = any(reply.attempts > 1 or reply.seconds > DATABASE_SECONDS_MAX for reply in replies)
        least = 0 if repeated else 1
        expect(least <= first <= 1, f"{what}: {first} answers are not marked as replays")
