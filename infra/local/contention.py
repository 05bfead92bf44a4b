"""Everything at once: the same command twenty times, different commands on one cart, one register, one
piece of stock. Over HTTP, each sender with a connection of its own, all let go by one barrier.

    contention.py [--directory target/local]      against a running stack

Everything is named after the run, so a second run on the same stack proves as much as the first.
"""

import secrets
import threading
import time
from collections import Counter
from functools import partial

import actions
import checks
from progress import Failure

TENANT = "contention"
AT_ONCE = 20
RESERVATIONS = 1_000
# Senders of the thousand: what the machine carries at once without queueing for minutes.
RESERVING_CONNECTIONS = 50
ROUNDS = 5
PRICE_PENCE = 250
CAUGHT_UP_SECONDS_MAX = 60
# So long a function waits for an answer of the database before it asks again (shared/aws/src/clients.rs).
DATABASE_SECONDS_MAX = 4


def run(stack) -> None:
    """Every check; raises one AssertionError that lists all that did not hold."""
    contention = Contention(stack)
    contention.load()
    checks.require_none(checks.failures(contention.checks()), "checks under contention failed")


def expect(holds: bool, what) -> None:
    if not holds:
        raise AssertionError(what)


def expect_equal(found, wanted, what: str) -> None:
    expect(found == wanted, f"{what}: {found!r}, expected {wanted!r}")


def pounds(pence: int) -> dict:
    return {"amount": pence, "currency": "GBP"}


class Contention:
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

    def checks(self):
        yield self.identical_commands
        yield self.identical_requests_for_approvals
        yield self.different_commands_on_one_approval
        yield self.identical_requests_on_stock
        yield self.identical_orders
        yield self.identical_requests_for_the_last_piece
        yield self.different_lines_on_one_cart
        yield self.different_carts_on_one_register
        yield self.different_orders_on_virtual_lanes
        yield self.reservations_of_more_than_there_is
        yield self.returns_of_one_line
        yield self.sales_of_the_last_piece
        yield self.sale_against_reservation_of_the_last_piece
        yield self.finalising_with_different_keys
        yield self.finalising_against_changing
        yield self.stock_is_the_sum_of_its_movements
        yield self.figures_count_every_order_once

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

    def finalised_at_once(self, carts: list[str], register: str, action: str = "finalize_order") -> list:
        name = "return_id" if action == "finalize_return" else "cart_id"
        return self.commands_at_once([self.envelope(action, {name: cart}, register) for cart in carts])

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

    # Checks

    def identical_commands(self) -> str:
        """Each action there is: twenty identical commands, one effect."""
        register, tried, failures = self.registers[0], Counter(), []

        def attempt(action: str, check) -> None:
            tried[action] += 1
            try:
                check()
            except (AssertionError, Failure) as error:
                failures.append(str(error))

        for action, prepare, after in self.actions(register):
            attempt(action, lambda a=action, p=prepare, w=after: self.identical(a, register, p(), w))
        for action, more, after in self.shift_actions():
            attempt(action, lambda a=action, m=more, w=after: self.identical_of_shift(a, m, w))
        attempt("list_parked_carts", lambda: self.identical_looks("list_parked_carts", register, {"limit": 200}))
        actions.require_all(tried, actions.listed(self.api, self.envelope("?", {}, register)))
        expect(not failures, "; ".join(failures))
        return f"all {len(tried)} actions, {AT_ONCE} identical commands each, one effect each"

    def identical(self, action: str, register: str, payload: dict, after: dict) -> None:
        key = self.name("same")
        envelope = self.envelope(action, payload, register, key)
        before = self.stock(self.plenty)
        replies = self.commands_at_once([envelope] * AT_ONCE)
        # Counted first: what took effect is in the figures, even if the answers were wrong.
        took_effect = any(reply.status == 200 for reply in replies)
        self.sales[register] += took_effect and action in ("finalize_order", "finalize_exchange")
        self.returns[register] += took_effect and action in ("finalize_return", "void_order", "finalize_exchange")
        self.expect_one_effect(action, replies, lambda body: (body["result"], body["consistency_token"]))
        # Once more, later, for the cart as it is now.
        again = self.api.post("/v1/pos/command", envelope)
        expect(again.is_replay, f"{action}: sent again later it is not marked as a replay")
        expect_equal(again.body["result"], replies[0].body["result"], f"{action}: result when sent later")
        cart = again.body["cart"]
        found = {
            "version": cart["version"],
            "state": cart["state"],
            "customer": cart["customer_id"],
            "quantities": [line["quantity"] for line in cart["lines"]],
            "payments": [payment["amount"]["amount"] for payment in cart["payments"]],
            "discount": cart["totals"]["discount"]["amount"],
            "stock": self.stock(self.plenty)["on_hand"] - before["on_hand"],
            "movements": self.stock(self.plenty)["version"] - before["version"],
        }
        nothing = {"customer": None, "quantities": [], "payments": [], "discount": 0, "stock": 0, "movements": 0}
        wanted = {**nothing, **after}
        expect_equal(found, wanted, f"{action}: the cart and its stock afterwards")
        if action in ("finalize_order", "finalize_return", "finalize_exchange", "void_order"):
            order = self.api.get(f"/v1/orders/{cart['id']}")
            expect_equal(order["receipt_number"], again.body["result"]["receipt_number"], f"{action}: number")

    def identical_of_shift(self, action: str, more: dict, after: dict) -> None:
        """As `identical`, on the shift that the actions before have left."""
        register = self.registers[9]
        payload = {"shift_id": f"sh-{self.run}", **more}
        if action == "get_x_report":
            self.identical_looks(action, register, payload)
            return
        envelope = self.envelope(action, payload, register, self.name("same"))
        replies = self.commands_at_once([envelope] * AT_ONCE)
        self.expect_one_effect(action, replies, lambda body: body["result"])
        again = self.api.post("/v1/pos/command", envelope)
        expect(again.is_replay, f"{action}: sent again later it is not marked as a replay")
        expect_equal(again.body["result"], replies[0].body["result"], f"{action}: result when sent later")
        shift = self.api.get(f"/v1/shifts/sh-{self.run}")
        found = {
            "state": shift["state"],
            "movements": [movement["kind"] for movement in shift["movements"]],
            "cash": shift["cash_expected"]["amount"],
        }
        expect_equal(found, after, f"{action}: the shift afterwards")

    def shift_actions(self):
        """(action, its payload beside the shift, the shift afterwards); each goes on from the one before."""
        cash = {"amount": pounds(500), "reason": "change"}
        kinds, state = [], "open"

        def shows(cash: int, kind: str | None = None) -> dict:
            if kind:
                kinds.append(kind)
            return {"state": state, "movements": list(kinds), "cash": cash}

        yield "open_till", {"amount": pounds(5_000)}, shows(5_000)
        yield "paid_in", cash, shows(5_500, "paid_in")
        yield "paid_out", {**cash, "amount": pounds(200)}, shows(5_300, "paid_out")
        yield "no_sale", {"reason": "to change a note"}, shows(5_300, "no_sale")
        yield "cash_count", {"counted": pounds(5_301)}, shows(5_300, "cash_count")
        yield "get_x_report", {}, shows(5_300)
        state = "closed"
        yield "close_till", {"counted": pounds(5_300)}, shows(5_300)

    def identical_looks(self, action: str, register: str, payload: dict) -> None:
        """What only looks keeps no key: all see the same."""
        envelope = self.envelope(action, payload, register, self.name("same"))
        replies = self.commands_at_once([envelope] * AT_ONCE)
        expect_equal(Counter(reply.status for reply in replies), {200: AT_ONCE}, f"{action}: statuses")

        def seen(reply) -> str:
            result = reply.body["result"]
            if shift := result.get("shift"):
                # As of when it was asked is all that may differ.
                shift["report"].pop("as_of")
            return repr(result)

        different = {seen(reply) for reply in replies}
        expect(len(different) == 1, f"{action}: {len(different)} different results: {sorted(different)[:3]}")

    def actions(self, register: str):
        """(action, what makes its payload, the cart afterwards). `version` counts effects."""
        sale = self.sold_cart(register, 2)

        def of_cart(make, **more):
            return lambda: {"cart_id": make(), **more}

        def of_return(make, **more):
            return lambda: {"return_id": make(), **more}

        def empty():
            return self.open_cart(register)

        def open_one():
            return self.open_cart(register, 1)

        def tendering():
            return self.tendering_cart(register)

        def paid():
            return self.paid_cart(register)

        cash = {"tender": "cash", "amount": pounds(PRICE_PENCE)}
        card = {"tender": "card", "amount": pounds(PRICE_PENCE)}
        line = {"line_id": "l-1", "quantity": 1, "disposition": "restock"}
        one_line, one_payment = {"quantities": [1]}, {"quantities": [1], "payments": [PRICE_PENCE]}
        yield "create_cart", lambda: {"cart_id": self.name("c")}, {"version": 1, "state": "open"}
        yield "create_cart", dict, {"version": 1, "state": "open"}
        yield "set_customer", of_cart(empty, customer_id="someone"), {
            "version": 2, "state": "open", "customer": "someone",
        }  # fmt: skip
        yield "add_line_item", of_cart(empty, sku=self.plenty, quantity=3), {
            "version": 2, "state": "open", "quantities": [3],
        }  # fmt: skip
        yield "update_line_item", of_cart(open_one, line_id="l-1", quantity=7), {
            "version": 3, "state": "open", "quantities": [7],
        }  # fmt: skip
        yield "remove_line_item", of_cart(open_one, line_id="l-1"), {"version": 3, "state": "open"}
        yield "set_tendering", of_cart(open_one), {"version": 3, "state": "tendering", **one_line}
        yield "resume_editing", of_cart(tendering), {"version": 4, "state": "open", **one_line}
        yield "add_payment", of_cart(tendering, **cash), {"version": 4, "state": "paid", **one_payment}
        yield "remove_payment", of_cart(paid, payment_id="p-1"), {
            "version": 5, "state": "tendering", **one_line,
        }  # fmt: skip
        yield "finalize_order", of_cart(paid), {
            "version": 5, "state": "finalized", **one_payment, "stock": -1, "movements": 1,
        }  # fmt: skip
        yield "void_cart", of_cart(paid, reason="changed their mind"), {
            "version": 5, "state": "voided", **one_payment,
        }  # fmt: skip
        head = {"original_order_id": sale, "reason": "does not fit"}
        yield "start_return", lambda: {"return_id": self.name("r"), **head}, {"version": 1, "state": "open"}
        yield "return_line_item", of_return(lambda: self.open_return(register, sale), **line), {
            "version": 2, "state": "open", **one_line,
        }  # fmt: skip
        yield "refund_tender", of_return(lambda: self.open_return(register, sale, 1), **card), {
            "version": 3, "state": "open", **one_payment,
        }  # fmt: skip
        yield "finalize_return", of_return(lambda: self.open_return(register, sale, 1, refunded=True)), {
            "version": 4, "state": "finalized", **one_payment, "stock": 1, "movements": 1,
        }  # fmt: skip
        another = self.sold_cart(register)
        yield "void_return", of_return(lambda: self.open_return(register, another, 1)), {
            "version": 3, "state": "voided", **one_line,
        }  # fmt: skip
        yield "park_cart", of_cart(open_one, note="the lady with the hat"), {
            "version": 3, "state": "parked", **one_line,
        }  # fmt: skip

        def parked():
            cart = open_one()
            self.command("park_cart", {"cart_id": cart}, register)
            return cart

        yield "recall_cart", of_cart(parked), {"version": 4, "state": "open", **one_line}
        # What undoes a sale is a return of it, which is shown.
        undone = {"version": 2, "state": "finalized", **one_payment, "stock": 1, "movements": 1}
        yield "void_order", lambda: {"order_id": self.sold_cart(register), "reason": "rung up twice"}, undone
        # One piece goes out and one comes back: one movement of nothing.
        yield "finalize_exchange", lambda: {
            "return_id": self.open_return(register, self.sold_cart(register), 1), "cart_id": tendering(),
        }, {"version": 4, "state": "finalized", **one_payment, "movements": 1}  # fmt: skip
        yield from self.discount_actions(of_cart, open_one, register)

    def discount_actions(self, of_cart, open_one, register: str):
        """The same for what takes something off."""
        time.sleep(max(0.0, self.rules_known_at - time.monotonic()))
        tenth = {"kind": "percent_cart", "value": 1_000, "reason": "torn box"}
        coupon, promotion = {"coupon_code": self.coupon}, {"promo_id": self.promotion}

        def reduced(action: str, more: dict):
            def make() -> str:
                cart = open_one()
                self.command(action, {"cart_id": cart, **more}, register)
                return cart

            return make

        given = {"version": 3, "state": "open", "quantities": [1], "discount": PRICE_PENCE // 10}
        taken_back = {"version": 4, "state": "open", "quantities": [1]}
        yield "apply_manual_discount", of_cart(open_one, **tenth), given
        yield "apply_coupon", of_cart(open_one, **coupon), given
        yield "apply_promo", of_cart(open_one, **promotion), given
        discounted = reduced("apply_manual_discount", tenth)
        yield "remove_manual_discount", of_cart(discounted, discount_id="d-1"), taken_back
        yield "remove_coupon", of_cart(reduced("apply_coupon", coupon), **coupon), taken_back
        yield "remove_promo", of_cart(reduced("apply_promo", promotion), **promotion), taken_back

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

    def identical_requests_for_approvals(self) -> str:
        """Asked for, granted, denied and used: twenty identical requests each, one effect."""
        register = self.registers[10]
        cart = self.open_cart(register)
        line = {"cart_id": cart, "sku": self.plenty, "quantity": 1, "unit_price_override": "0.50"}
        asked = {"store_id": self.store, "register_id": register, "action": "price_override", "reason": "dented", **line}
        ids = []
        for decision, status in (("grant", "granted"), ("deny", "denied")):
            key = {"Idempotency-Key": self.name("same")}
            replies = self.at_once([("/v1/approvals", asked, key)] * AT_ONCE, role="cashier")
            self.expect_one_effect("ask", replies, lambda body: body)
            expect_equal(replies[0].status, 201, "ask: status")
            ids.append(replies[0].body["approval_id"])
            path, key = f"/v1/approvals/{ids[-1]}/{decision}", {"Idempotency-Key": self.name("same")}
            replies = self.at_once([(path, {"reason": "seen it"}, key)] * AT_ONCE, role="store_manager")
            self.expect_one_effect(decision, replies, lambda body: body)
            expect_equal(self.api.get(f"/v1/approvals/{ids[-1]}")["status"], status, decision)
        listed = list(self.api.pages("/v1/approvals", store_id=self.store))
        mine = [one["approval_id"] for one in listed if one["register_id"] == register]
        expect_equal(sorted(mine), sorted(ids), "approvals of the register")
        use = self.envelope("add_line_item", {**line, "approval_id": ids[0]}, register, self.name("same"))
        replies = self.commands_at_once([use] * AT_ONCE, role="cashier")
        self.expect_one_effect("use", replies, lambda body: body["result"])
        expect_equal(self.api.get(f"/v1/approvals/{ids[0]}")["status"], "used", "the approval afterwards")
        shown = self.command("set_tendering", {"cart_id": cart}, register)["cart"]
        expect_equal(shown["totals"]["total"]["amount"], 50, "what the cart comes to")
        return f"ask, grant, deny, use: {AT_ONCE} identical requests each, one effect each"

    def different_commands_on_one_approval(self) -> str:
        """Twenty commands that each want the same approval: one has it."""
        register = self.registers[11]
        for _ in range(ROUNDS):
            cart = self.open_cart(register)
            id, line = self.approval(register, cart)
            envelopes = [self.envelope("add_line_item", line, register) for _ in range(AT_ONCE)]
            replies = self.commands_at_once(envelopes, role="cashier")
            answers = Counter((reply.status, reply.body.get("code")) for reply in replies)
            expect_equal(answers, {(200, None): 1, (409, "approval_used"): AT_ONCE - 1}, "answers")
            shown = self.command("set_tendering", {"cart_id": cart}, register)["cart"]
            expect_equal(len(shown["lines"]), 1, "lines of the cart")
            expect_equal(self.api.get(f"/v1/approvals/{id}")["status"], "used", "the approval afterwards")
        return f"{ROUNDS} approvals wanted by {AT_ONCE} commands each: one each has it"

    def identical_requests_on_stock(self) -> str:
        """Update, reserve, commit, release, extend: twenty identical requests, one effect."""
        sku = self.product(self.name("held"), 50)
        line = {"location_id": self.store, "sku": sku, "quantity": 4}
        kept, given_back = self.name("hold"), self.name("hold")
        update = {"location_id": self.store, "sku": sku, "kind": "delta", "quantity": 5, "reason": "found"}

        def reserve(id):
            return {"reservation_id": id, "lines": [line], "ttl_seconds": 900}

        # (what, path, body, status, the stock afterwards); each goes on from the one before.
        steps = [
            ("update", "update", update, 200, {"on_hand": 55, "reserved": 0, "available": 55, "version": 2}),
            ("reserve", "reserve", reserve(kept), 201,
             {"on_hand": 55, "reserved": 4, "available": 51, "version": 3}),
            ("reserve", "reserve", reserve(given_back), 201,
             {"on_hand": 55, "reserved": 8, "available": 47, "version": 4}),
            ("extend", f"reservations/{kept}/extend", {"ttl_seconds": 1800}, 200,
             {"on_hand": 55, "reserved": 8, "available": 47, "version": 4}),
            ("commit", f"reservations/{kept}/commit", {}, 200,
             {"on_hand": 51, "reserved": 4, "available": 47, "version": 5}),
            ("release", f"reservations/{given_back}/release", {}, 200,
             {"on_hand": 51, "reserved": 0, "available": 51, "version": 6}),
        ]  # fmt: skip
        for what, path, body, status, after in steps:
            key = {"Idempotency-Key": self.name("same")}
            replies = self.at_once([(f"/v1/inventory/{path}", body, key)] * AT_ONCE)
            self.expect_one_effect(what, replies, lambda reply: reply)
            expect_equal(replies[0].status, status, f"{what}: status")
            found = self.stock(sku)
            expect_equal({name: found[name] for name in after}, after, f"{what}: the stock afterwards")
        for id, status in ((kept, "committed"), (given_back, "released")):
            expect_equal(self.api.get(f"/v1/inventory/reservations/{id}")["status"], status, id)
        return f"update, reserve, extend, commit, release: {AT_ONCE} identical requests each, one effect each"

    def identical_orders(self) -> str:
        sku = self.product(self.name("ordered"), 50)
        hold = {
            "reservation_id": self.name("h"),
            "ttl_seconds": 600,
            "lines": [{"location_id": self.store, "sku": sku, "quantity": 2}],
        }
        self.api.post("/v1/inventory/reserve", hold, {"Idempotency-Key": self.name("k")})
        on_hold = {"reservation_id": hold["reservation_id"]}
        for named in ({"order_id": self.name("o")}, {}, on_hold):
            before = self.stock(sku)["on_hand"]
            order = {**named, **self.order_of(sku, 2)}
            key = {"Idempotency-Key": self.name("same")}
            replies = self.at_once([("/v1/orders", order, key)] * AT_ONCE)
            self.expect_one_effect("order", replies, lambda body: body)
            expect_equal(replies[0].status, 201, "order: status")
            self.sales[replies[0].body["order"]["lane"].partition("/")[2]] += 1
            expect_equal(self.stock(sku)["on_hand"], before - 2, "order: on hand afterwards")
        return f"{AT_ONCE} identical orders, with an id, without, and on a reservation: one effect each"

    def identical_requests_for_the_last_piece(self) -> str:
        """What takes all there is leaves nothing for its own repetitions to find: they must know their
        own effect before they look at what is left. The moment is short, so there are several rounds."""
        register, failures = self.registers[8], Counter()
        for _ in range(ROUNDS):
            for what in ("finalize_order", "finalize_return", "update", "reserve", "commit", "order"):
                sku = self.product(self.name("last"), 1)
                path, body, after = self.taking_the_last(what, sku, register)
                headers = {} if path == "/v1/pos/command" else {"Idempotency-Key": self.name("same")}
                replies = self.at_once([(path, body, headers)] * AT_ONCE)
                done = [reply.body for reply in replies if reply.status < 300]
                if what == "order" and done:
                    self.sales[done[0]["order"]["lane"].partition("/")[2]] += 1
                self.sales[register] += bool(done) and what == "finalize_order"
                self.returns[register] += bool(done) and what == "finalize_return"
                stock = self.stock(sku)
                found = (stock["on_hand"], stock["reserved"])
                expect_equal(found, after, f"{what}: on hand and reserved afterwards")
                try:
                    self.expect_one_effect(what, replies, lambda reply: reply.get("result", reply))
                except AssertionError as error:
                    failures[str(error)] += 1
        told = "; ".join(f"{error} (in {count} of {ROUNDS} rounds)" for error, count in failures.items())
        expect(not failures, told)
        return f"{ROUNDS} rounds of {AT_ONCE} identical requests that take all there is, one effect each"

    def taking_the_last(self, what: str, sku: str, register: str) -> tuple[str, dict, tuple]:
        """Path and body of the request, and (on hand, reserved) afterwards."""
        line = {"location_id": self.store, "sku": sku, "quantity": 1}
        if what == "finalize_order":
            payload = {"cart_id": self.paid_cart(register, 1, sku)}
            return "/v1/pos/command", self.envelope(what, payload, register, self.name("same")), (0, 0)
        if what == "finalize_return":
            payload = {"return_id": self.open_return(register, self.sold_cart(register), 1, refunded=True)}
            # Its stock is another product's: this one stays as it is.
            return "/v1/pos/command", self.envelope(what, payload, register, self.name("same")), (1, 0)
        if what == "update":
            return "/v1/inventory/update", {**line, "kind": "delta", "quantity": -1, "reason": "lost"}, (0, 0)
        if what == "order":
            return "/v1/orders", self.order_of(sku, 1), (0, 0)
        hold = {"lines": [line], "ttl_seconds": 900}
        if what == "reserve":
            return "/v1/inventory/reserve", hold, (1, 1)
        held = self.api.post("/v1/inventory/reserve", hold, {"Idempotency-Key": self.name("k")}).body
        return f"/v1/inventory/reservations/{held['reservation_id']}/commit", {}, (0, 0)

    def different_lines_on_one_cart(self) -> str:
        register = self.registers[1]
        cart = self.open_cart(register)
        wanted = list(range(1, AT_ONCE + 1))
        lines = [{"cart_id": cart, "sku": self.plenty, "quantity": quantity} for quantity in wanted]
        replies = self.commands_at_once([self.envelope("add_line_item", line, register) for line in lines])
        expect_equal(Counter(reply.status for reply in replies), {200: AT_ONCE}, "statuses")
        ids = [reply.body["result"]["line_id"] for reply in replies]
        expect_equal(len(set(ids)), AT_ONCE, "different line ids")
        shown = self.command("set_tendering", {"cart_id": cart}, register)["cart"]
        expect_equal(sorted(line["quantity"] for line in shown["lines"]), wanted, "quantities on the cart")
        expect_equal(shown["totals"]["total"]["amount"], PRICE_PENCE * sum(wanted), "total")
        return f"{AT_ONCE} different lines, all kept"

    def different_carts_on_one_register(self) -> str:
        register = self.registers[2]
        carts = [self.paid_cart(register) for _ in range(AT_ONCE)]
        before = self.stock(self.plenty)["on_hand"]
        replies = self.finalised_at_once(carts, register)
        expect_equal(Counter(reply.status for reply in replies), {200: AT_ONCE}, "statuses")
        self.sales[register] += AT_ONCE
        numbers = sorted(reply.body["result"]["receipt_number"] for reply in replies)
        expect_equal(numbers, list(range(1, AT_ONCE + 1)), "receipt numbers")
        expect_equal(self.stock(self.plenty)["on_hand"], before - AT_ONCE, "on hand")
        kept = [self.api.get(f"/v1/orders/{cart}")["receipt_number"] for cart in carts]
        expect_equal(sorted(kept), numbers, "receipt numbers of the orders")
        return f"{AT_ONCE} orders, numbers 1 to {AT_ONCE}"

    def different_orders_on_virtual_lanes(self) -> str:
        sku = self.product(self.name("web"), 1_000)
        order = self.order_of(sku, 1)
        replies = self.at_once(
            [("/v1/orders", order, {"Idempotency-Key": self.name("k")}) for _ in range(AT_ONCE)]
        )
        expect_equal(Counter(reply.status for reply in replies), {201: AT_ONCE}, "statuses")
        for reply in replies:
            self.sales[reply.body["order"]["lane"].partition("/")[2]] += 1
        expect_equal(self.stock(sku)["on_hand"], 1_000 - AT_ONCE, "on hand")
        return f"{AT_ONCE} orders on {len({reply.body['order']['lane'] for reply in replies})} virtual lanes"

    def reservations_of_more_than_there_is(self) -> str:
        """A thousand reservations of 10 units where there are 100: ten hold, the others are told."""
        sku = self.product(self.name("scarce"), 100, elsewhere=7)
        started = time.monotonic()
        requests = [
            (
                "/v1/inventory/reserve",
                {"lines": [{"location_id": self.store, "sku": sku, "quantity": 10}], "ttl_seconds": 3600},
                {"Idempotency-Key": self.name("k")},
            )
            for _ in range(RESERVATIONS)
        ]
        replies = self.at_once(requests, RESERVING_CONNECTIONS)
        seconds = time.monotonic() - started
        statuses = Counter(reply.status for reply in replies)
        expect_equal(statuses, {201: 10, 409: RESERVATIONS - 10}, "statuses")
        short = {
            "location_id": self.store,
            "sku": sku,
            "requested": 10,
            "available": 0,
            "incoming": 0,
            "elsewhere": [{"location_id": self.elsewhere, "available": 7}],
        }
        for reply in replies:
            if reply.status == 409:
                expect_equal(reply.body.get("code"), "insufficient_stock", "code of a refusal")
                expect_equal(reply.body.get("lines"), [short], "what a refusal names")
        held = [reply.body["reservation_id"] for reply in replies if reply.status == 201]
        expect_equal(len(set(held)), 10, "different reservations")
        holds = [self.api.get(f"/v1/inventory/reservations/{id}") for id in held]
        expect_equal([hold["status"] for hold in holds], ["active"] * 10, "reservations afterwards")
        promised = sum(line["quantity"] for hold in holds for line in hold["lines"])
        stock = self.stock(sku)
        found = {name: stock[name] for name in ("on_hand", "reserved", "available")}
        expect_equal(found, {"on_hand": 100, "reserved": promised, "available": 0}, "stock")
        return f"{RESERVATIONS} in {seconds:.1f} s: 10 made, {RESERVATIONS - 10} told what is available"

    def returns_of_one_line(self) -> str:
        """Three units sold, twenty returns of one unit each finalised at once: three come back."""
        register, sku = self.registers[3], self.product(self.name("returned"), 10)
        sale = self.open_cart(register)
        self.command("add_line_item", {"cart_id": sale, "sku": sku, "quantity": 3}, register)
        self.command("set_tendering", {"cart_id": sale}, register)
        paid = {"cart_id": sale, "tender": "card", "amount": pounds(3 * PRICE_PENCE)}
        self.command("add_payment", paid, register)
        self.command("finalize_order", {"cart_id": sale}, register)
        self.sales[register] += 1
        returns = [self.open_return(register, sale, 1, refunded=True) for _ in range(AT_ONCE)]
        replies = self.finalised_at_once(returns, register, "finalize_return")
        statuses = Counter((reply.status, reply.body.get("code")) for reply in replies)
        self.returns[register] += statuses[200, None]
        expect_equal(statuses, {(200, None): 3, (409, "return_above_sold"): AT_ONCE - 3}, "answers")
        expect_equal(self.stock(sku)["on_hand"], 10, "on hand: seven left and three come back")
        numbers = sorted(reply.body["result"]["receipt_number"] for reply in replies if reply.status == 200)
        expect_equal(numbers, [2, 3, 4], "receipt numbers after the sale's")
        return f"{AT_ONCE} returns of three sold units: three came back"

    def sales_of_the_last_piece(self) -> str:
        register, sku = self.registers[4], self.product(self.name("last"), 1)
        carts = [self.paid_cart(register, 1, sku) for _ in range(AT_ONCE)]
        replies = self.finalised_at_once(carts, register)
        answers = Counter((reply.status, reply.body.get("code")) for reply in replies)
        self.sales[register] += answers[200, None]
        expect_equal(answers, {(200, None): 1, (409, "insufficient_stock"): AT_ONCE - 1}, "answers")
        for cart, reply in zip(carts, replies, strict=True):
            if reply.status == 409:
                [line] = reply.body["lines"]
                named = (line["sku"], line["requested"], line["available"])
                expect_equal(named, (sku, 1, 0), "what a refusal names")
                # Nothing of the refused sale stays: it can be given up.
                voided = self.command("void_cart", {"cart_id": cart, "reason": "sold out"}, register)
                expect_equal(voided["cart"]["state"], "voided", "a refused cart when given up")
            else:
                expect_equal(reply.body["result"]["receipt_number"], 1, "receipt number")
        expect_equal(self.stock(sku)["on_hand"], 0, "on hand")
        return f"{AT_ONCE} sales of the last piece: one sold, one number given"

    def sale_against_reservation_of_the_last_piece(self) -> str:
        register, won = self.registers[5], Counter()
        for _ in range(ROUNDS):
            sku = self.product(self.name("last"), 1)
            sale = self.envelope("finalize_order", {"cart_id": self.paid_cart(register, 1, sku)}, register)
            hold = {"lines": [{"location_id": self.store, "sku": sku, "quantity": 1}], "ttl_seconds": 900}
            order = self.order_of(sku, 1)
            replies = self.at_once(
                [
                    ("/v1/pos/command", sale, {}),
                    ("/v1/inventory/reserve", hold, {"Idempotency-Key": self.name("k")}),
                    ("/v1/orders", order, {"Idempotency-Key": self.name("k")}),
                ]
            )
            winners = [
                name
                for name, reply in zip(("sale", "hold", "order"), replies, strict=True)
                if reply.status < 300
            ]
            codes = Counter(reply.body.get("code") for reply in replies if reply.status >= 300)
            expect(len(winners) == 1, f"winners {winners}, refusals {dict(codes)}")
            expect_equal(codes, {"insufficient_stock": 2}, "refusals")
            won[winners[0]] += 1
            if winners[0] == "sale":
                self.sales[register] += 1
            if winners[0] == "order":
                self.sales[replies[2].body["order"]["lane"].partition("/")[2]] += 1
            stock = self.stock(sku)
            wanted = (1, 1, 0) if winners[0] == "hold" else (0, 0, 0)
            expect_equal((stock["on_hand"], stock["reserved"], stock["available"]), wanted, "stock")
        return f"{ROUNDS} last pieces went to {dict(won)}"

    def finalising_with_different_keys(self) -> str:
        register = self.registers[6]
        cart = self.paid_cart(register)
        before = self.stock(self.plenty)["on_hand"]
        replies = self.finalised_at_once([cart] * AT_ONCE, register)
        answers = Counter((reply.status, reply.body.get("code")) for reply in replies)
        self.sales[register] += 1
        expect_equal(answers, {(200, None): 1, (409, "wrong_cart_state"): AT_ONCE - 1}, "answers")
        expect_equal(self.stock(self.plenty)["on_hand"], before - 1, "on hand")
        # A sale after it gets the next number: none was lost on the refused.
        next_sale = self.command("finalize_order", {"cart_id": self.paid_cart(register)}, register)
        self.sales[register] += 1
        expect_equal(next_sale["result"]["receipt_number"], 2, "receipt number of the next sale")
        return f"{AT_ONCE} finalisations of one cart: one number"

    def finalising_against_changing(self) -> str:
        """Finalising beside what would change the cart: one of the two wins, and the cart shows which."""
        register, told = self.registers[7], []
        line = {"sku": self.plenty, "quantity": 1}
        rivals = [
            ("void_cart", self.paid_cart, {"reason": "changed their mind"}, "voided"),
            ("remove_payment", self.paid_cart, {"payment_id": "p-1"}, "tendering"),
            ("add_line_item", self.paid_cart, line, None),
            # A cart that is open cannot be finalised, whoever is first.
            ("add_line_item", lambda register: self.open_cart(register, 1), line, "open"),
        ]
        for rival, make, more, state in rivals:
            won: Counter[str] = Counter()
            for round in range(ROUNDS):
                cart = make(register)
                before = self.stock(self.plenty)["on_hand"]
                envelopes = [
                    self.envelope("finalize_order", {"cart_id": cart}, register),
                    self.envelope(rival, {"cart_id": cart, **more}, register),
                ]
                # Who is started first wins more often, so they take turns.
                order = slice(None, None, -1 if round % 2 else 1)
                final, other = self.commands_at_once(envelopes[order])[order]
                answers = f"finalize_order {final.status} {final.body.get('code')}, "
                answers += f"{rival} {other.status} {other.body.get('code')}"
                expect((final.status == 200) != (other.status == 200), f"not exactly one won: {answers}")
                loser = other if final.status == 200 else final
                # A payment taken back leaves a cart that is tendering, but not paid.
                codes = {"wrong_cart_state"} | ({"underpaid"} if rival == "remove_payment" else set())
                expect(loser.status == 409 and loser.body.get("code") in codes, f"the refusal: {answers}")
                sold = final.status == 200
                self.sales[register] += sold
                winner = envelopes[0] if sold else envelopes[1]
                shown = self.api.post("/v1/pos/command", winner).body["cart"]
                expect_equal(shown["state"], "finalized" if sold else state, f"state after {answers}")
                expect_equal(self.stock(self.plenty)["on_hand"], before - sold, f"on hand after {answers}")
                won["sale" if sold else rival] += 1
            told.append(f"{rival}: {dict(won)}")
        return "; ".join(told)

    def stock_is_the_sum_of_its_movements(self) -> str:
        movements = 0
        for sku in sorted(self.skus):
            proof = self.wait(partial(self.caught_up, sku), f"the ledger of {sku}")
            expect(proof["holds"] and not proof["ranges"], f"{sku}: {proof}")
            rows = list(self.api.pages("/v1/inventory/movements", sku=sku, location_id=self.store))
            movements += len(rows)
            stock = self.stock(sku)
            numbers = [row["seq"] for row in rows]
            expect_equal(numbers, list(range(stock["version"], 0, -1)), f"{sku}: numbers of the movements")
            for counter in ("on_hand", "reserved"):
                total = sum(row["delta"][counter] for row in rows)
                expect_equal(total, stock[counter], f"{sku}: sum of the movements of {counter}")
        return f"{movements} movements of {len(self.skus)} products sum up"

    def caught_up(self, sku: str) -> dict | None:
        proof = self.api.get("/v1/inventory/conservation", sku=sku, location_id=self.store)
        return proof if proof["seq_reached"] == proof["seq_current"] else None

    def figures_count_every_order_once(self) -> str:
        wanted = self.sales + self.returns
        lanes = {f"{self.store}/{register}": count for register, count in wanted.items()}

        def complete() -> dict | None:
            reply = self.api.get("/v1/analytics/dashboard", store_id=self.store)
            reached = reply["watermark"]["lanes"]
            behind = [
                lane
                for lane, count in lanes.items()
                if (state := reached.get(lane)) is None or state["through"] < count or state["gaps"]
            ]
            return None if behind else reply

        reply = self.wait(complete, f"the figures of {lanes}")
        reached = {lane: state["through"] for lane, state in reply["watermark"]["lanes"].items()}
        expect_equal(reached, lanes, "numbers of the lanes")
        # Over midnight a run has two days; their sum is what counts.
        sales = self.api.get("/v1/analytics/sales", store_id=self.store, **last_days())["rows"]
        found = [sum(row["metrics"][name] for row in sales) for name in ("orders", "return_orders")]
        expect_equal(found, [self.sales.total(), self.returns.total()], "orders and returns")
        return f"{self.sales.total()} orders and {self.returns.total()} returns, each counted once"

    def wait(self, look, what: str):
        deadline = time.monotonic() + CAUGHT_UP_SECONDS_MAX
        while True:
            found = look()
            if found:
                return found
            expect(time.monotonic() < deadline, f"{what} did not catch up in {CAUGHT_UP_SECONDS_MAX} s")
            time.sleep(0.25)


def last_days() -> dict:
    """Today, and the days around it: which one it is depends on the store's clock."""
    from datetime import UTC, datetime, timedelta

    today = datetime.now(UTC).date()
    return {"from": today - timedelta(days=1), "to": today + timedelta(days=1)}


if __name__ == "__main__":
    checks.main("contention.py", run)
