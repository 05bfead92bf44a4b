"""The same request twenty times at once: one effect, and all are told the same of it."""

import time
from collections import Counter

import actions
from contended_store import AT_ONCE, PRICE_PENCE, ROUNDS, ContendedStore, expect, expect_equal, pounds
from progress import Failure


class ContendedByTheSame(ContendedStore):
    """Checks that a repetition changes nothing."""

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
