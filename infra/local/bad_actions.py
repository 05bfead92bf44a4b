"""What every action of the till refuses alike: things of another store, another register, another tenant; a time
that cannot be; no open shift where the tenant wants one."""

import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import actions
from hostile_client import TENANT, Case, HostileClient, Request, expect, pounds

# What an action is about: that decides what it is refused for. All others are about a cart or return.
ABOUT = {
    "create_cart": "new cart",
    "start_return": "new cart",
    "list_parked_carts": "store",
    "void_order": "order",
    "open_till": "new shift",
    "paid_in": "shift",
    "paid_out": "shift",
    "no_sale": "shift",
    "cash_count": "shift",
    "get_x_report": "shift",
    "close_till": "shift",
}
ONLY_LOOK = {"list_parked_carts", "get_x_report"}
# By what it is about, where there is something to refuse: a store's parked carts are for all of its registers.
OF_ANOTHER_STORE = {
    "new cart": "cart_exists",
    "cart": "cart_of_another_store",
    "order": "order_of_another_store",
    "new shift": "shift_exists",
    "shift": "shift_of_another_store",
}
OF_ANOTHER_REGISTER = {
    "new cart": "cart_exists",
    "cart": "cart_of_another_register",
    "new shift": "shift_exists",
    "shift": "shift_of_another_register",
}
OF_ANOTHER_TENANT = {
    "new cart": "store_not_found",
    "cart": "cart_not_found",
    "order": "store_not_found",
    "store": "store_not_found",
    "new shift": "store_not_found",
    "shift": "shift_not_found",
}


class BadActions(HostileClient):
    """A table over every action there is."""

    def payloads(self) -> dict[str, dict]:
        """What each action could be sent with, of this store: carts of register r-1, the shift of r-2. What makes
        something names what is there already."""
        line = {"line_id": "l-1"}
        cash = {"shift_id": self.open_shift, "amount": pounds(5), "reason": "x"}
        counted = {"shift_id": self.open_shift, "counted": pounds(5_000)}
        known = {
            "create_cart": {"cart_id": self.open},
            "set_customer": {"cart_id": self.open, "customer_id": None},
            "add_line_item": {"cart_id": self.open, "sku": self.sku, "quantity": 1},
            "update_line_item": {"cart_id": self.open, **line, "quantity": 2},
            "remove_line_item": {"cart_id": self.open, **line},
            "apply_manual_discount": {"cart_id": self.open, "kind": "percent_cart", "value": 100, "reason": "x"},
            "remove_manual_discount": {"cart_id": self.open, "discount_id": "d-1"},
            "apply_coupon": {"cart_id": self.open, "coupon_code": self.coupon},
            "remove_coupon": {"cart_id": self.open, "coupon_code": self.coupon},
            "apply_promo": {"cart_id": self.open, "promo_id": self.promotion},
            "remove_promo": {"cart_id": self.open, "promo_id": self.promotion},
            "set_tendering": {"cart_id": self.open},
            "resume_editing": {"cart_id": self.tendering},
            "add_payment": {"cart_id": self.tendering, "tender": "cash", "amount": pounds(250)},
            "remove_payment": {"cart_id": self.half_paid, "payment_id": "p-1"},
            "finalize_order": {"cart_id": self.paid},
            "void_cart": {"cart_id": self.open},
            "park_cart": {"cart_id": self.open},
            "recall_cart": {"cart_id": self.open},
            "list_parked_carts": {},
            "void_order": {"order_id": self.final, "reason": "x"},
            "start_return": {"return_id": self.returning, "original_order_id": self.final, "reason": "x"},
            "return_line_item": {"return_id": self.returning, **line, "quantity": 1, "disposition": "none"},
            "refund_tender": {"return_id": self.unrefunded, "tender": "card", "amount": pounds(250)},
            "finalize_return": {"return_id": self.unrefunded},
            "finalize_exchange": {"return_id": self.unrefunded, "cart_id": self.tendering},
            "void_return": {"return_id": self.returning},
            "open_till": {"shift_id": self.open_shift},
            "paid_in": cash,
            "paid_out": cash,
            "no_sale": {"shift_id": self.open_shift},
            "cash_count": counted,
            "get_x_report": {"shift_id": self.open_shift},
            "close_till": counted,
        }
        actions.require_all(known, actions.listed(self.api, self.envelope("?", {})))
        return known

    def every_action(self) -> Iterator[Case]:
        for action, payload in self.payloads().items():
            about = ABOUT.get(action, "cart")
            own, beside = ("r-2", "r-1") if about in ("shift", "new shift") else ("r-1", "r-2")

            def sent(token="operator", action=action, payload=payload, own=own, **changed) -> Request:
                return self.command(action, payload, token, **{"register_id": own, **changed})

            if about in OF_ANOTHER_STORE:
                request = sent(store_id=self.second_store, register_id="r-1")
                yield Case(f"{action}: of another store", request, 409, OF_ANOTHER_STORE[about])
            if about in OF_ANOTHER_REGISTER:
                request = sent(register_id=beside)
                yield Case(f"{action}: of another register", request, 409, OF_ANOTHER_REGISTER[about])
            for name, request, status, code in [
                ("in a store out of reach", sent("far_cashier"), 403, "store_out_of_reach"),
                ("in another store's name", sent("manager", store_id=self.second_store), 403, "store_out_of_reach"),
                ("in another register's name", sent("till", register_id="r-2"), 403, "register_out_of_reach"),
                ("of the stock room", sent("warehouse"), 403, "role_required"),
                ("of an analyst", sent("analyst"), 403, "role_required"),
                ("of a program", sent("integration"), 403, "role_required"),
                ("of no role", sent("nobody"), 403, "role_required"),
                ("of another tenant", sent("stranger"), 404, OF_ANOTHER_TENANT[about]),
                ("at a register that is none", sent(register_id="virtual-1"), 422, "register_virtual"),
            ]:
                yield Case(f"{action}: {name}", request, status, code)
            future, old = "occurred_at_in_future", "occurred_at_too_old"
            ahead = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
            for at, code in [("2199-01-01T00:00:00Z", future), (ahead, future), ("1969-12-31T23:59:59Z", old)]:
                yield Case(f"{action}: at {at}", sent(occurred_at=at), 422, code, "occurred_at")
            more = self.command(action, {**payload, "x": 1}, register_id=own)
            yield Case(f"{action}: with more", more, 422, "field_invalid", "payload.x")
            listed = self.command(action, [], register_id=own)
            yield Case(f"{action}: of a list", listed, 422, "field_invalid", "payload")


class StrictTenant(BadActions):
    """The same world at a tenant of its own, which soon wants no old commands and no sale without a shift. Others go
    on meanwhile: a process may remember for long that it wanted neither."""

    def __init__(self, stack):
        super().__init__(stack, f"{TENANT}-strict-{secrets.token_hex(4)}")

    def load(self) -> None:
        super().load()
        self.refunded = self.make("start_return", "return_id", original_order_id=self.final, reason="torn")
        self.send("return_line_item", return_id=self.refunded, line_id="l-1", quantity=1, disposition="none")
        self.send("refund_tender", return_id=self.refunded, tender="card", amount=pounds(250))
        settings = {"command_age_max_seconds": 7 * 86_400, "sale_needs_open_shift": True}
        answer = self.answer(self.keyed("PUT", "/v1/settings", settings))
        expect(answer.status == 200, f"{answer.status} {answer.text[:300]}")
        self.settings_known_at = time.monotonic() + actions.RULES_SECONDS

    def settings_refuse(self) -> str:
        """Each command that the tenant does not want is refused, and nothing changed."""
        cases: list[tuple[str, Request, int, str]] = []
        two_years_ago = (datetime.now(UTC) - timedelta(days=730)).isoformat()
        for action, payload in self.payloads().items():
            register = "r-2" if ABOUT.get(action) in ("shift", "new shift") else "r-1"
            if action not in ONLY_LOOK:
                old = self.command(action, payload, register_id=register, occurred_at=two_years_ago)
                cases.append((f"{action} of two years ago", old, 422, "occurred_at_too_old"))
        for action, payload in [
            ("finalize_order", {"cart_id": self.paid}),
            ("finalize_return", {"return_id": self.refunded}),
            ("finalize_exchange", {"return_id": self.unrefunded, "cart_id": self.tendering}),
            ("void_order", {"order_id": self.final, "reason": "x"}),
        ]:
            cases.append((f"{action} without a shift", self.command(action, payload), 409, "no_open_shift"))
        time.sleep(max(0.0, self.settings_known_at - time.monotonic()))
        before = self.state()
        wrong = []
        for name, request, status, code in cases:
            answer = self.answer(request)
            if (answer.status, answer.json().get("code")) != (status, code):
                wrong.append(f"{name}: {answer.status} {answer.text[:200]}")
        after = self.state()
        wrong += [f"{name} changed" for name in before if before[name] != after.get(name)]
        expect(not wrong, "; ".join(wrong))
        return f"{len(cases)} commands refused, nothing changed"
