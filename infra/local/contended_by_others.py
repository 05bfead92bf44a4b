"""Different requests at once, for one cart, register, approval or piece of stock: who wins, and that nobody else does."""

import time
from collections import Counter

from contended_store import AT_ONCE, PRICE_PENCE, ROUNDS, ContendedStore, expect, expect_equal, pounds

RESERVATIONS = 1_000
# Senders of the thousand: what the machine carries at once without queueing for minutes.
RESERVING_CONNECTIONS = 50


class ContendedByOthers(ContendedStore):
    """Checks that nothing is given out twice, and nothing is lost."""

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
            "expected": [],
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
