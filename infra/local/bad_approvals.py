"""What can be wrong with an approval, with its decision, with the command that names it; and with settings."""

from collections.abc import Iterator
from dataclasses import replace

from hostile_client import CARD, Case, HostileClient, expect, pounds


class BadApprovals(HostileClient):
    """Tables of approvals and settings that are refused."""

    def asked(self, action: str = "price_override", **changed) -> dict:
        """A request for an approval that is right but for what is changed; None leaves a member out."""
        details = {
            "price_override": {
                "cart_id": self.open,
                "sku": self.sku,
                "unit_price_override": "0.01",
                "quantity": 1,
            },
            "manual_discount": {"cart_id": self.open, "kind": "percent_cart", "value": 1_000},
            "blind_return": {"maximum_refund": pounds(500)},
            "void_order": {"order_id": self.final},
            "paid_in": {"shift_id": "sh-1", "amount": pounds(500)},
            "paid_out": {"shift_id": "sh-1", "amount": pounds(500)},
            "no_sale": {"shift_id": "sh-1"},
        }
        request = {"store_id": self.store, "register_id": "r-1", "action": action, "reason": "dented"}
        request |= {**details.get(action, {}), **changed}
        return {name: value for name, value in request.items() if value is not None}

    def approval(self, decision: str | None, **changed) -> str:
        """An approval that is pending, or as it was decided."""
        request = self.keyed("POST", "/v1/approvals", self.asked(**changed), "cashier")
        answer = self.answer(request)
        expect(answer.status == 201, answer.text)
        id = answer.json()["approval_id"]
        if decision:
            answer = self.answer(self.keyed("POST", f"/v1/approvals/{id}/{decision}", {}, "manager"))
            expect(answer.status == 200, answer.text)
        return id

    def approvals(self) -> Iterator[Case]:
        nothing = f"nothing-{self.run}"
        euros = {"amount": 500, "currency": "EUR"}
        for name, request, status, code, field in [
            ("no reason", self.asked(reason=" "), 422, "reason_required", "reason"),
            ("a reason that is too long", self.asked(reason="x" * 201), 422, "text_too_long", "reason"),
            ("a card number as reason", self.asked(reason=CARD), 422, "card_number_refused", "reason"),
            ("an unknown action", self.asked("sell"), 422, "field_invalid", "action"),
            ("an unknown member", self.asked(tenant_id="demo"), 422, "field_invalid", "tenant_id"),
            ("an id with a separator", self.asked(approval_id="a#b"), 422, "id_malformed", "approval_id"),
            ("an employee that is none", self.asked(employee_id="a b"), 422, "id_malformed", "employee_id"),
            ("an unknown store", self.asked(store_id=nothing), 404, "store_not_found", None),
            ("an unknown register", self.asked(register_id="r-9"), 404, "register_not_found", None),
            (
                "a register of web orders",
                self.asked(register_id="virtual-1"),
                422,
                "register_virtual",
                "register_id",
            ),
            ("a price without a cart", self.asked(cart_id=None), 422, "field_required", "cart_id"),
            ("a price of an unknown SKU", self.asked(sku=nothing), 404, "sku_not_found", "sku"),
            ("a price of nothing", self.asked(quantity=0), 422, "quantity_invalid", "quantity"),
            ("a price of half a piece", self.asked(quantity="0.5"), 422, "quantity_invalid", "quantity"),
            (
                "a negative price",
                self.asked(unit_price_override="-1"),
                422,
                "field_invalid",
                "unit_price_override",
            ),
            ("a price with a shift", self.asked(shift_id="sh-1"), 422, "field_not_expected", "shift_id"),
            (
                "a share above all",
                self.asked("manual_discount", value=10_001),
                422,
                "discount_value_invalid",
                "value",
            ),
            (
                "a share of a cart that is not there",
                self.asked("manual_discount", cart_id=nothing),
                422,
                "maximum_goods_required",
                "maximum_goods",
            ),
            (
                "a share of no goods",
                self.asked("manual_discount", maximum_goods=pounds(0)),
                422,
                "amount_not_positive",
                "maximum_goods",
            ),
            (
                "a share of a line that is not named",
                self.asked("manual_discount", kind="percent_line"),
                422,
                "field_required",
                "line_id",
            ),
            (
                "a share of a line by another name",
                self.asked("manual_discount", kind="percent_line", line_id="l-01"),
                422,
                "line_malformed",
                "line_id",
            ),
            (
                "a refund in another currency",
                self.asked("blind_return", maximum_refund=euros),
                422,
                "currency_mismatch",
                "maximum_refund",
            ),
            (
                "a refund of nothing",
                self.asked("blind_return", maximum_refund=pounds(0)),
                422,
                "amount_not_positive",
                "maximum_refund",
            ),
            (
                "a refund above everything",
                self.asked("blind_return", maximum_refund=pounds(10**12 + 1)),
                422,
                "amount_out_of_range",
                "maximum_refund",
            ),
            ("a refund without a limit", self.asked("blind_return", maximum_refund=None), 422,
             "field_required", "maximum_refund"),
            ("cash of no amount", self.asked("paid_out", amount=None), 422, "field_required", "amount"),
            ("negative cash", self.asked("paid_in", amount=pounds(-1)), 422, "amount_not_positive", "amount"),
            ("a void of no order", self.asked("void_order", order_id=None), 422, "field_required", "order_id"),
        ]:
            yield Case(f"ask: {name}", self.keyed("POST", "/v1/approvals", request), status, code, field)
        path = f"/v1/approvals/{self.approval(None)}"
        for decision in ("grant", "deny"):
            who = [
                ("cashier", 403, "role_required"),
                ("analyst", 403, "role_required"),
                ("stranger", 404, "approval_not_found"),
            ]
            for token, status, code in who:
                request = self.keyed("POST", f"{path}/{decision}", {}, token)
                yield Case(f"{decision}: {token}", request, status, code)
            yield Case(
                f"{decision}: nothing",
                self.keyed("POST", f"/v1/approvals/{nothing}/{decision}", {}, "manager"),
                404,
                "approval_not_found",
            )
            reason = self.keyed("POST", f"{path}/{decision}", {"reason": CARD}, "manager")
            yield Case(f"{decision}: a card number", reason, 422, "card_number_refused", "reason")
            unknown = self.keyed("POST", f"{path}/{decision}", {"amount": 1}, "manager")
            yield Case(f"{decision}: an unknown member", unknown, 422, "field_invalid", "amount")
            own = self.answer(self.keyed("POST", "/v1/approvals", self.asked(), "manager")).json()
            own = self.keyed("POST", f"/v1/approvals/{own['approval_id']}/{decision}", {}, "manager")
            yield Case(f"{decision}: one's own", own, 403, "approval_of_own_request")
            decided = f"/v1/approvals/{self.approval(decision)}"
            for second in ("grant", "deny"):
                again = self.keyed("POST", f"{decided}/{second}", {}, "manager")
                yield Case(f"{decision}, then {second}", again, 409, "approval_decided")
        yield Case("another tenant reads it", self.ask(path, "stranger"), 404, "approval_not_found")
        yield Case("an analyst reads it", self.ask(path, "analyst"), 403, "role_required")
        listed = f"/v1/approvals?store_id={self.store}"
        for query, status, code in [
            ("/v1/approvals", 422, "store_required"),
            (f"{listed}&status=open", 422, "status_unknown"),
            (f"{listed}&limit=201", 422, "limit_out_of_range"),
            (f"{listed}&cursor=x", 400, "cursor_malformed"),
            (f"{listed}&colour=red", 422, "query_invalid"),
            ("/v1/approvals?store_id=a%23b", 422, "id_malformed"),
        ]:
            yield Case(f"list {query}", self.ask(query), status, code)
        far = self.ask(f"/v1/approvals?store_id={self.second_store}", "manager")
        yield Case("list another store", far, 403, "store_out_of_reach")

    def approvable(self, order: str) -> Iterator[tuple[str, str, dict, dict, str]]:
        """What may need an approval: its name there, the command, what is asked for, what is sent, at which
        register."""
        line = {"cart_id": self.open, "sku": self.sku, "quantity": 1, "unit_price_override": "0.01"}
        tenth = {"cart_id": self.open, "kind": "percent_cart", "value": 1_000}
        cash = {"shift_id": self.open_shift, "amount": pounds(500)}
        of_shift = {"shift_id": self.open_shift}
        yield "price_override", "add_line_item", line, line, "r-1"
        yield "manual_discount", "apply_manual_discount", tenth, {**tenth, "reason": "x"}, "r-1"
        yield "blind_return", "start_return", {"maximum_refund": pounds(500)}, {"reason": "x"}, "r-1"
        yield "void_order", "void_order", {"order_id": order}, {"order_id": order, "reason": "x"}, "r-1"
        yield "paid_in", "paid_in", cash, {**cash, "reason": "x"}, "r-2"
        yield "paid_out", "paid_out", cash, {**cash, "reason": "x"}, "r-2"
        yield "no_sale", "no_sale", of_shift, {**of_shift, "reason": "x"}, "r-2"

    def foreign_approvals(self) -> Iterator[Case]:
        """Each command that may name an approval, with one that is not for it, or not yet, or not any more."""
        differs, price = "approval_does_not_match", self.approval("grant")
        other = self.approval("grant", action="blind_return", maximum_refund=pounds(500))
        for name, action, asked, payload, register in self.approvable(self.final):
            asked = {"action": name, "register_id": register, **asked}
            beside = "r-2" if register == "r-1" else "r-1"
            for title, approval, status, code in [
                ("nobody decided on", self.approval(None, **asked), 409, "approval_pending"),
                ("that was denied", self.approval("deny", **asked), 403, "approval_denied"),
                ("of another register", self.approval("grant", **{**asked, "register_id": beside}), 403, differs),
                ("of another action", price if name == "blind_return" else other, 403, differs),
                ("that there is not", f"approval-{self.run}", 403, "approval_not_found"),
                ("with a separator", "a#b", 422, "id_malformed"),
                ("that is a card", CARD, 422, "card_number_refused"),
            ]:
                sent = {**payload, "approval_id": approval}
                for token in ("cashier", "manager"):
                    request = self.command(action, sent, token, register_id=register)
                    yield Case(f"{action}: an approval {title}, {token}", request, status, code)
        count = {"shift_id": self.open_shift, "counted": pounds(5_000), "approval_id": price}
        of_sale = {"original_order_id": self.final, "reason": "x", "approval_id": price}
        for action, payload, register in [
            ("cash_count", count, "r-2"),
            ("close_till", count, "r-2"),
            ("start_return", of_sale, "r-1"),
            ("add_line_item", {"cart_id": self.open, "sku": self.sku, "quantity": 1, "approval_id": price}, "r-1"),
        ]:
            request = self.command(action, payload, "cashier", register_id=register)
            yield Case(f"{action}: an approval for nothing", request, 422, "approval_not_expected")

    def approvals_are_used_once(self) -> str:
        """What was approved is done, and the same approval does for nothing more."""
        self.carts()
        sold = self.paid_cart()
        self.send("finalize_order", cart_id=sold)
        used = 0
        for name, action, asked, payload, register in self.approvable(sold):
            approval = self.approval("grant", action=name, register_id=register, **asked)
            sent = {**payload, "approval_id": approval}
            done = self.answer(self.command(action, sent, "cashier", register_id=register))
            expect(done.status == 200, f"{action}: {done.status} {done.text[:300]}")
            before = self.state()
            again = self.answer(self.command(action, sent, "cashier", register_id=register))
            # An order that is undone is told as that.
            wanted = "order_already_voided" if name == "void_order" else "approval_used"
            got = (again.status, again.json().get("code"))
            expect(got == (409, wanted), f"{action} a second time: {again.status} {again.text[:300]}")
            expect(self.state() == before, f"{action} a second time changed something")
            used += 1
        return f"{used} approvals, each used once"

    def approved_commands(self) -> Iterator[Case]:
        """Approvals that are not what the command does."""
        pending, denied = self.approval(None), self.approval("deny")
        elsewhere = self.approval("grant", register_id="r-2")
        granted = self.approval("grant")
        differs = "approval_does_not_match"
        line = {"cart_id": self.open, "sku": self.sku, "quantity": 1, "unit_price_override": "0.01"}
        for name, changed, status, code in [
            ("not decided", {"approval_id": pending}, 409, "approval_pending"),
            ("denied", {"approval_id": denied}, 403, "approval_denied"),
            ("of another register", {"approval_id": elsewhere}, 403, differs),
            ("of another cart", {"cart_id": self.empty}, 403, differs),
            ("of another product", {"sku": self.rice, "quantity": "1"}, 403, differs),
            ("of another price", {"unit_price_override": "0.02"}, 403, differs),
            ("of another quantity", {"quantity": 2}, 403, differs),
            ("where none is needed", {"unit_price_override": None}, 422, "approval_not_expected"),
            ("with an id that is none", {"approval_id": "a#b"}, 422, "id_malformed"),
        ]:
            payload = {**line, "approval_id": granted, **changed}
            yield Case(f"approved {name}", self.command("add_line_item", payload, "cashier"), status, code)
        blind = self.command("start_return", {"reason": "torn", "approval_id": granted}, "cashier")
        yield Case("approved for another action", blind, 403, differs)
        discount = {"cart_id": self.open, "kind": "percent_cart", "value": 100, "reason": "x"}
        needed = self.command("apply_manual_discount", discount, "cashier")
        yield Case("a discount without an approval", needed, 403, "approval_required")

    def settings(self) -> Iterator[Case]:
        path, invalid = "/v1/settings", "field_invalid"
        discount, cash = {"required": True}, {"required": True, "above_amount": -1}
        for name, body, field in [
            ("an unknown member", {"colour": "red"}, "colour"),
            ("approvals that are none", {"approvals": 7}, "approvals"),
            ("an unknown rule", {"approvals": {"refund": True}}, "approvals.refund"),
            (
                "a share above all",
                {"approvals": {"manual_discount": {**discount, "above_bps": 10_001}}},
                "approvals.manual_discount.above_bps",
            ),
            (
                "a share that is a fraction",
                {"approvals": {"manual_discount": {**discount, "above_bps": 0.1}}},
                "approvals.manual_discount.above_bps",
            ),
            (
                "a discount of less than nothing",
                {"approvals": {"manual_discount": {**discount, "above_amount": -1}}},
                "approvals.manual_discount.above_amount",
            ),
            ("cash of less than nothing", {"approvals": {"paid_out": cash}}, "approvals.paid_out.above_amount"),
            ("a rule that says nothing", {"approvals": {"paid_in": {}}}, "approvals.paid_in.required"),
            ("no time to decide", {"approvals": {"pending_seconds": 29}}, "approvals.pending_seconds"),
            ("a grant for two days", {"approvals": {"granted_seconds": 172_800}}, "approvals.granted_seconds"),
            ("stored value that is none", {"stored_value": True}, "stored_value"),
            ("stored value by cash", {"stored_value": {"cash": True}}, "stored_value.cash"),
            ("a gift card that is half on", {"stored_value": {"gift_card": 1}}, "stored_value.gift_card"),
            ("an age of no time", {"command_age_max_seconds": 0}, "command_age_max_seconds"),
            ("an age of three years", {"command_age_max_seconds": 94_608_000}, "command_age_max_seconds"),
            ("a tax mode that is none", {"pricing": {"tax_mode": "x", "tax_rounding": "per_line"}}, None),
            (
                "a coin of 200 pounds",
                {
                    "pricing": {
                        "tax_mode": "inclusive",
                        "tax_rounding": "per_line",
                        "cash_increment": 20_000,
                    }
                },
                "pricing.cash_increment",
            ),
            (
                "a coin of 200 francs",
                {
                    "pricing": {
                        "tax_mode": "inclusive",
                        "tax_rounding": "per_line",
                        "cash_increments": {"CHF": 20_000},
                    }
                },
                "pricing.cash_increments.CHF",
            ),
        ]:
            # A rule without its first member may be told at the rule.
            named = None if field == "approvals.paid_in.required" else field
            yield Case(f"settings: {name}", self.keyed("PUT", path, body), 422, invalid, named)
        for token in ("nobody", "analyst", "cashier", "warehouse", "integration", "manager"):
            yield Case(f"settings: {token}", self.keyed("PUT", path, {}, token), 403, "role_required")
        for token in ("nobody", "analyst", "cashier", "warehouse", "integration"):
            yield Case(f"settings read: {token}", self.ask(path, token), 403, "role_required")
        stale = self.keyed("PUT", path, {}, **{"If-Match": '"999"'})
        yield Case("settings: another version", stale, 412, "version_mismatch")
        garbled = self.keyed("PUT", path, {}, **{"If-Match": "garbage"})
        yield Case("settings: no version", garbled, 400, "if_match_malformed")
        without = replace(self.keyed("PUT", path, {}), headers={})
        yield Case("settings: no key", without, 400, "idempotency_key_missing")
