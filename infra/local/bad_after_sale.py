"""What a client must not do with carts and orders beside selling: park, recall, void, move on, record."""

from collections.abc import Iterator

from hostile_client import CARD, Case, HostileClient, Request


class BadAfterSale(HostileClient):
    """Its tables."""

    def parked_carts(self) -> Iterator[Case]:
        state, nothing = "wrong_cart_state", f"nothing-{self.run}"
        for name, cart in [("tendering", self.tendering), ("paid", self.paid), ("final", self.final)]:
            for action in ("park_cart", "recall_cart"):
                yield Case(f"{action}: {name}", self.command(action, {"cart_id": cart}), 409, state)
        for name, payload, status, code in [
            ("a return", {"cart_id": self.blind}, 409, "wrong_cart_kind"),
            ("nothing", {"cart_id": nothing}, 404, "cart_not_found"),
            ("a key", {"cart_id": f"{self.open}#cart"}, 422, "id_malformed"),
            ("a long note", {"cart_id": self.open, "note": "x" * 201}, 422, "text_too_long"),
            ("a card as note", {"cart_id": self.open, "note": CARD}, 422, "card_number_refused"),
            ("a note that is none", {"cart_id": self.open, "note": 7}, 422, "field_invalid"),
        ]:
            yield Case(f"park {name}", self.command("park_cart", payload), status, code)
        yield Case("recall what is open", self.command("recall_cart", {"cart_id": self.open}), 409, state)
        from_beside = self.command("park_cart", {"cart_id": self.open}, register_id="r-2")
        yield Case("park at another register", from_beside, 409, "cart_of_another_register")
        for name, payload, status, code in [
            ("limit 0", {"limit": 0}, 422, "limit_out_of_range"),
            ("limit 201", {"limit": 201}, 422, "limit_out_of_range"),
            ("a limit that is none", {"limit": "x"}, 422, "field_invalid"),
            ("a cursor that is none", {"cursor": "x"}, 400, "cursor_malformed"),
            ("a cart", {"cart_id": self.open}, 422, "field_invalid"),
        ]:
            yield Case(f"list parked carts: {name}", self.command("list_parked_carts", payload), status, code)

    def voids(self) -> Iterator[Case]:
        def void(order: str, **changed: object) -> dict:
            return {"order_id": order, "reason": "x", **changed}

        for name, payload, status, code in [
            ("nothing", void(f"nothing-{self.run}"), 404, "order_not_found"),
            ("a key", void(f"{self.final}#cart"), 422, "id_malformed"),
            ("an open cart", void(self.open), 409, "order_not_final"),
            ("an order from elsewhere", void(self.second_order), 409, "order_status_conflict"),
            ("for no reason", void(self.final, reason=" "), 422, "reason_required"),
            ("for a long reason", void(self.final, reason="x" * 201), 422, "text_too_long"),
            ("for a card", void(self.final, reason=CARD), 422, "card_number_refused"),
            ("without a reason", {"order_id": self.final}, 422, "field_invalid"),
        ]:
            yield Case(f"void {name}", self.command("void_order", payload), status, code)
        late = self.command("void_order", void(self.final), occurred_at="2010-12-02T12:00:00Z")
        yield Case("void on another day", late, 409, "order_of_another_day")
        beside = self.command("void_order", void(self.final), store_id=self.second_store)
        yield Case("void at another store", beside, 409, "order_of_another_store")

    def order_statuses(self) -> Iterator[Case]:
        way, invalid = "order_status_conflict", "field_invalid"

        def move(body: object, order: str = self.second_order) -> Request:
            return self.keyed("PUT", f"/v1/orders/{order}", body)

        for name, request, status, code in [
            ("nowhere", move({"status": "lost"}), 422, "status_unknown"),
            ("to no text", move({"status": 7}), 422, invalid),
            ("without a status", move({}), 422, invalid),
            ("with more than there is", move({"status": "paid", "total": 1}), 422, invalid),
            ("past paid", move({"status": "shipped"}), 409, way),
            ("back", move({"status": "placed"}), 409, way),
            ("to voided", move({"status": "voided"}), 409, way),
            ("of a till", move({"status": "cancelled"}, self.final), 409, way),
            ("that is none", move({"status": "paid"}, f"nothing-{self.run}"), 404, "order_not_found"),
            ("that is open", move({"status": "paid"}, self.open), 404, "order_not_found"),
            ("for a card", move({"status": "cancelled", "reason": CARD}), 422, "card_number_refused"),
            ("for a long reason", move({"status": "cancelled", "reason": "x" * 201}), 422, "text_too_long"),
            (
                "with tracking too soon",
                move({"status": "paid", "tracking": {"number": "1"}}),
                422,
                "tracking_not_expected",
            ),
        ]:
            yield Case(f"move an order {name}", request, status, code)
        body, key = {"status": "cancelled"}, {"Idempotency-Key": self.name("k")}
        path = f"/v1/orders/{self.second_order}"
        without = Request("PUT", path, body)
        yield Case("move an order without a key", without, 400, "idempotency_key_missing")
        for tag, status, code in [
            ('"99"', 412, "version_mismatch"),
            ("1", 400, "if_match_malformed"),
            ('W/"1"', 400, "if_match_malformed"),
        ]:
            request = Request("PUT", path, body, {**key, "If-Match": tag})
            yield Case(f"move an order of version {tag}", request, status, code)

    def recorded_sales(self) -> Iterator[Case]:
        def record(**changed: object) -> Request:
            sale = {
                "store_id": self.store,
                "channel": "pos",
                "occurred_at": "2026-01-05T10:00:00Z",
                "lines": [{"sku": self.sku, "quantity": 1, "unit_price": "2.50"}],
                **changed,
            }
            return self.keyed("POST", "/v1/sales/record", sale)

        for name, request, status, code in [
            ("to come", record(occurred_at="2099-01-01T00:00:00Z"), 422, "occurred_at_in_future"),
            ("of long ago", record(occurred_at="2010-12-01T08:26:00Z"), 422, "occurred_at_too_old"),
            ("at no time", record(occurred_at="yesterday"), 422, "field_invalid"),
            ("of nothing", record(lines=[]), 422, ("lines_required", "occurred_at_too_old")),
            ("of a card", record(receipt_reference=CARD), 422, ("card_number_refused", "occurred_at_too_old")),
            ("with more than there is", record(sum=1), 422, "field_invalid"),
            ("for a total of no money", record(total=1), 422, "field_invalid"),
            (
                "with a coupon twice",
                record(coupons=["X", "X"]),
                (409, 422),
                ("coupon_already_applied", "occurred_at_too_old"),
            ),
        ]:
            yield Case(f"record a sale {name}", request, status, code)
