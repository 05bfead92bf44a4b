"""What a client must not do with suppliers, orders from them, and deliveries."""

from collections.abc import Iterator

from hostile_client import Case, HostileClient

SUPPLIERS, ORDERS, RESTOCK = "/v1/suppliers", "/v1/purchase-orders", "/v1/inventory/restock"
CARD = "4111111111111111"


class BadPurchases(HostileClient):
    """Its table."""

    def purchases(self) -> Iterator[Case]:
        yield from self.suppliers()
        yield from self.purchases_placed()
        yield from self.purchases_received()
        yield from self.purchases_ended()
        yield from self.purchases_out_of_reach()
        yield from self.deliveries()

    def suppliers(self) -> Iterator[Case]:
        invalid = "field_invalid"
        good = {"id": self.name("sup"), "name": "Tea Ltd", "lead_time_days": 7, "currency": "GBP"}
        for name, changed in [
            ("no name", {"name": None}),
            ("an empty name", {"name": ""}),
            ("no id", {"id": None}),
            ("an id with a separator", {"id": "a#b"}),
            ("a lead time below nothing", {"lead_time_days": -1}),
            ("a lead time of 100 years", {"lead_time_days": 36_500}),
            ("half a day", {"lead_time_days": 0.5}),
            ("a currency that is none", {"currency": "pounds"}),
            ("-1 % more", {"over_delivery_percent": -1}),
            ("101 % more", {"over_delivery_percent": 101}),
            ("packs of nothing", {"supplies": [{"sku": self.sku, "pack_size": 0}]}),
            ("a cost below nothing", {"supplies": [{"sku": self.sku, "unit_cost": "-1.00"}]}),
            ("a SKU twice", {"supplies": [{"sku": self.sku}, {"sku": self.sku}]}),
            ("a SKU with a line break", {"supplies": [{"sku": "a\nb"}]}),
            ("an unknown member", {"rating": 5}),
            ("a card number for a name", {"name": CARD}),
        ]:
            body = {key: value for key, value in {**good, **changed}.items() if value is not None}
            codes = (invalid, "card_number_refused")
            yield Case(f"a supplier with {name}", self.keyed("POST", SUPPLIERS, body), 422, codes)
        taken = self.keyed("POST", SUPPLIERS, {**good, "id": self.supplier})
        yield Case("a supplier that is there", taken, 409, "supplier_exists")
        other = self.keyed("PUT", f"{SUPPLIERS}/{self.supplier}", good)
        yield Case("a supplier of another id", other, 422, "id_mismatch")
        for tag, status, code in [('"99"', 412, "version_mismatch"), ("99", 400, "if_match_malformed")]:
            body = {**good, "id": self.supplier}
            request = self.keyed("PUT", f"{SUPPLIERS}/{self.supplier}", body, **{"If-Match": tag})
            yield Case(f"a supplier, If-Match {tag}", request, status, code)
        yield Case("a supplier that is not there", self.ask(f"{SUPPLIERS}/x"), 404, "supplier_not_found")

    def purchases_placed(self) -> Iterator[Case]:
        quantity, invalid = "quantity_invalid", "field_invalid"
        line = {"sku": self.sku, "quantity": 10}
        for name, changed, status, code in [
            ("from nobody", {"supplier_id": f"nobody-{self.run}"}, 422, "supplier_unknown"),
            ("for nowhere", {"location_id": f"nowhere-{self.run}"}, 404, "location_not_found"),
            ("for a key", {"location_id": "a#b"}, 422, "location_id_malformed"),
            ("of no lines", {"lines": []}, 422, "lines_out_of_range"),
            ("of 1,001 lines", {"lines": [line] * 1_001}, 422, "lines_out_of_range"),
            ("of what is not sold", {"lines": [{**line, "sku": f"x-{self.run}"}]}, 422, "sku_unknown"),
            ("of an empty SKU", {"lines": [{**line, "sku": ""}]}, 422, "sku_malformed"),
            ("of nothing", {"lines": [{**line, "quantity": 0}]}, 422, quantity),
            ("of less than nothing", {"lines": [{**line, "quantity": -1}]}, 422, quantity),
            ("of 10^12", {"lines": [{**line, "quantity": 10**12}]}, 422, quantity),
            ("of a piece and a half", {"lines": [{**line, "quantity": "1.5"}]}, 422, quantity),
            ("at two costs", {"lines": [{**line, "unit_cost": c} for c in ("1", "2")]}, 422, "unit_cost_differs"),
            ("expected long ago", {"expected_at": "2001-01-01T00:00:00Z"}, 422, "expected_at_out_of_range"),
            ("expected at no time", {"expected_at": "soon"}, 422, invalid),
            ("of an id with a separator", {"purchase_order_id": "a#b"}, 422, "id_malformed"),
            ("that is there", {"purchase_order_id": self.open_purchase}, 409, "purchase_order_exists"),
            ("with a card number", {"note": CARD}, 422, "card_number_refused"),
            ("with a long note", {"note": "x" * 501}, 422, "text_too_long"),
            ("with an unknown member", {"total": 5}, 422, invalid),
        ]:
            request = self.keyed("POST", ORDERS, self.purchase(**changed))
            yield Case(f"a purchase order {name}", request, status, code)

    def purchases_received(self) -> Iterator[Case]:
        quantity, line = "quantity_invalid", {"sku": self.sku, "quantity": 1}
        open_one = f"{ORDERS}/{self.open_purchase}/receive"
        for name, lines, status, code in [
            ("no lines", [], 422, "lines_out_of_range"),
            ("less than nothing", [{**line, "quantity": -1}], 422, quantity),
            ("damage below nothing", [{**line, "damaged": -1}], 422, quantity),
            ("nothing", [{**line, "quantity": 0}], 422, ("nothing_counted", quantity)),
            ("what was not ordered", [{**line, "sku": self.rice}], 422, "sku_not_in_purchase_order"),
            ("12 of 10, one more than may be", [{**line, "quantity": 12}], 409, "over_delivery"),
            ("10 and 2 damaged", [{**line, "quantity": 10, "damaged": 2}], 409, "over_delivery"),
            ("10^12", [{**line, "quantity": 10**12}], 422, quantity),
        ]:
            request = self.keyed("POST", open_one, {"lines": lines})
            yield Case(f"received: {name}", request, status, code)
        rest = self.keyed("POST", f"{ORDERS}/{self.received_purchase}/receive", {"lines": [{**line, "quantity": 8}]})
        yield Case("received: 8 after 4 of 10", rest, 409, "over_delivery")
        late = self.keyed("POST", f"{ORDERS}/{self.closed_purchase}/receive", {"lines": [line]})
        yield Case("received: of a closed one", late, 409, "purchase_order_closed")
        for tag, status, code in [('"99"', 412, "version_mismatch"), ("99", 400, "if_match_malformed")]:
            request = self.keyed("POST", open_one, {"lines": [line]}, **{"If-Match": tag})
            yield Case(f"received: If-Match {tag}", request, status, code)

    def purchases_ended(self) -> Iterator[Case]:
        why, nothing = {"reason": "x"}, f"{ORDERS}/nothing-{self.run}"
        for step in ("close", "cancel"):
            missing = self.keyed("POST", f"{nothing}/{step}", why)
            yield Case(f"{step} what is not there", missing, 404, "purchase_order_not_found")
            again = self.keyed("POST", f"{ORDERS}/{self.closed_purchase}/{step}", why)
            yield Case(f"{step} what is closed", again, 409, "purchase_order_closed")
            for name, body, code in [
                ("no reason", {}, "field_invalid"),
                ("a blank reason", {"reason": " "}, "reason_invalid"),
                ("a card number", {"reason": CARD}, "card_number_refused"),
            ]:
                request = self.keyed("POST", f"{ORDERS}/{self.open_purchase}/{step}", body)
                yield Case(f"{step}: {name}", request, 422, code)
        begun = self.keyed("POST", f"{ORDERS}/{self.received_purchase}/cancel", why)
        yield Case("cancel what arrived in part", begun, 409, "purchase_order_not_cancellable")
        unknown = self.keyed("POST", f"{ORDERS}/{self.open_purchase}/forget", why)
        yield Case("forget one", unknown, 404, "route_unknown")
        yield Case("read one that is not there", self.ask(nothing), 404, "purchase_order_not_found")

    def purchases_out_of_reach(self) -> Iterator[Case]:
        one, line = f"{ORDERS}/{self.open_purchase}", {"lines": [{"sku": self.sku, "quantity": 1}]}
        supplier = {"id": self.name("sup"), "name": "n", "lead_time_days": 1, "currency": "GBP"}
        for who in ("cashier", "analyst", "integration"):
            place = self.keyed("POST", ORDERS, self.purchase(), who)
            yield Case(f"a purchase order by {who}", place, 403, "role_required")
            receive = self.keyed("POST", f"{one}/receive", line, who)
            yield Case(f"received by {who}", receive, 403, "role_required")
            if who != "integration":
                make = self.keyed("POST", SUPPLIERS, supplier, who)
                yield Case(f"a supplier by {who}", make, 403, "role_required")
        yield Case("what it costs, by a cashier", self.ask(one, "cashier"), 403, "role_required")
        elsewhere = self.keyed("POST", ORDERS, self.purchase(location_id=self.second_store), "manager")
        yield Case("a purchase order for another store", elsewhere, 403, "store_out_of_reach")
        yield Case("by a stranger", self.ask(one, "stranger"), 404, "purchase_order_not_found")
        receive = self.keyed("POST", f"{one}/receive", line, "stranger")
        yield Case("received by a stranger", receive, 404, "purchase_order_not_found")
        foreign = self.ask(f"{SUPPLIERS}/{self.supplier}", "stranger")
        yield Case("the supplier, by a stranger", foreign, 404, "supplier_not_found")
        yield Case("orders of nobody", self.ask(ORDERS), 422, "location_or_supplier_missing")

    def deliveries(self) -> Iterator[Case]:
        good, quantity = {"location_id": self.store, "sku": self.sku, "quantity": 5}, "quantity_invalid"
        for name, changed, status, code in [
            ("nothing", {"quantity": 0}, 422, quantity),
            ("less than nothing", {"quantity": -5}, 422, quantity),
            ("10^12", {"quantity": 10**12}, 422, quantity),
            ("what is not sold", {"sku": f"x-{self.run}"}, 422, "sku_unknown"),
            ("nowhere", {"location_id": f"nowhere-{self.run}"}, 404, "location_not_found"),
            ("from nobody", {"supplier_id": f"nobody-{self.run}"}, 422, "supplier_unknown"),
            ("with a card number", {"reason": CARD}, 422, "card_number_refused"),
            ("with an unknown member", {"on_hand": 5}, 422, "field_invalid"),
        ]:
            yield Case(f"restock: {name}", self.keyed("POST", RESTOCK, {**good, **changed}), status, code)
        cashier = self.keyed("POST", RESTOCK, good, "cashier")
        yield Case("restock by a cashier", cashier, 403, "role_required")
