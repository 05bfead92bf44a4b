"""Commands for what is not there, and for carts that stand where the command cannot be."""

from collections.abc import Iterator

from hostile_client import Case, HostileClient, pounds


class BadCarts(HostileClient):
    """Tables of what is named, or found, and does not do."""

    def unknown_things(self) -> Iterator[Case]:
        nothing = f"nothing-{self.run}"
        cart_actions = {
            "set_customer": {"customer_id": None},
            "add_line_item": {"sku": self.sku, "quantity": 1},
            "update_line_item": {"line_id": "l-1", "quantity": 2},
            "remove_line_item": {"line_id": "l-1"},
            "apply_manual_discount": {"kind": "percent_cart", "value": 100, "reason": "x"},
            "remove_manual_discount": {"discount_id": "d-1"},
            "set_tendering": {},
            "resume_editing": {},
            "add_payment": {"tender": "card", "amount": pounds(1)},
            "remove_payment": {"payment_id": "p-1"},
            "finalize_order": {},
            "void_cart": {},
            "park_cart": {},
            "recall_cart": {},
        }
        for action, more in cart_actions.items():
            request = self.command(action, {"cart_id": nothing, **more})
            yield Case(f"{action}: unknown cart", request, 404, "cart_not_found")
            for wrong in ("a#b", "a/b", "", "x" * 65, f"{self.open}#cart", "..", "é"):
                request = self.command(action, {"cart_id": wrong, **more})
                yield Case(f"{action}: cart {wrong[:20]!r}", request, 422, "id_malformed", "payload.cart_id")
        for action, more in {
            "return_line_item": {"line_id": "l-1", "quantity": 1, "disposition": "none"},
            "refund_tender": {"tender": "card", "amount": pounds(1)},
            "finalize_return": {},
            "void_return": {},
        }.items():
            request = self.command(action, {"return_id": nothing, **more})
            yield Case(f"{action}: unknown return", request, 404, ("cart_not_found", "return_not_found"))
        for action, payload in (("create_cart", {}), ("start_return", {"reason": "torn"})):
            unknown = [
                ("store", {"store_id": nothing}, "store_not_found"),
                ("store that is a warehouse", {"store_id": self.warehouse}, "store_not_found"),
                ("register", {"register_id": nothing}, "register_not_found"),
            ]
            for name, changed, code in unknown:
                yield Case(f"{action}: unknown {name}", self.command(action, payload, **changed), 404, code)
        line = self.line()
        for name, payload, status, code in [
            ("unknown SKU", {**line, "sku": nothing}, 404, "sku_not_found"),
            ("SKU with a key separator", {**line, "sku": f"{self.sku}#product"}, 404, "sku_not_found"),
            ("SKU with a slash", {**line, "sku": f"../{self.sku}"}, 404, "sku_not_found"),
            ("empty SKU", {**line, "sku": ""}, 422, "sku_malformed"),
            ("SKU of 65 bytes", {**line, "sku": "x" * 65}, 422, "sku_malformed"),
            ("SKU with a control character", {**line, "sku": "a\u0000b"}, 422, "sku_malformed"),
            ("SKU with a space behind", {**line, "sku": f"{self.sku} "}, 422, "sku_malformed"),
            ("no SKU and no barcode", {"cart_id": self.open, "quantity": 1}, 422, "sku_or_barcode_required"),
            ("SKU and barcode", {**line, "barcode": "4006381333931"}, 422, "sku_or_barcode_required"),
            (
                "unknown barcode",
                {"cart_id": self.open, "barcode": "4006381333931", "quantity": 1},
                404,
                "barcode_not_found",
            ),
            (
                "wrong check digit",
                {"cart_id": self.open, "barcode": "4006381333932", "quantity": 1},
                422,
                "barcode_malformed",
            ),
            (
                "SKU priced in another currency",
                {**line, "sku": self.euro},
                422,
                ("product_unpriced", "currency_mismatch"),
            ),
        ]:
            yield Case(name, self.command("add_line_item", payload), status, code)
        for line_id in ("l-2", "l-0", "x", "", "l-99999999999999999999", "l--1"):
            for action, more in (("update_line_item", {"quantity": 2}), ("remove_line_item", {})):
                request = self.command(action, {"cart_id": self.open, "line_id": line_id, **more})
                yield Case(f"{action}: line {line_id!r}", request, 404, "line_not_found")
        for payment_id in ("p-2", "x", "", "p-99999999999999999999"):
            request = self.command("remove_payment", {"cart_id": self.half_paid, "payment_id": payment_id})
            yield Case(f"payment {payment_id!r}", request, 404, "payment_not_found")
        head = {"reason": "torn"}
        request = self.command("start_return", {"original_order_id": nothing, **head})
        yield Case("return of an unknown order", request, 404, "order_not_found")
        request = self.command("start_return", {"original_order_id": self.paid, **head})
        yield Case("return of what is not final", request, 409, "order_not_final")
        for name, changed, status, code in [
            ("store", {"store_id": nothing}, 404, "store_not_found"),
            ("warehouse as store", {"store_id": self.warehouse}, 404, "store_not_found"),
            ("SKU", {"lines": [{"sku": nothing, "quantity": 1}]}, 404, "sku_not_found"),
            ("reservation", {"reservation_id": nothing}, 404, "reservation_not_found"),
            ("coupon", {"coupons": [nothing]}, 404, "coupon_not_found"),
            ("promotion", {"promotions": [nothing]}, 404, "promotion_not_found"),
            (
                "modifier",
                {"lines": [{"sku": self.sku, "quantity": 1, "modifiers": [{"modifier_id": nothing}]}]},
                422,
                "modifier_not_found",
            ),
        ]:
            yield Case(
                f"order: unknown {name}",
                self.keyed("POST", "/v1/orders", self.order(**changed)),
                status,
                code,
            )
        for path, code in [
            (f"/v1/orders/{nothing}", "order_not_found"),
            (f"/v1/orders/{self.paid}", "order_not_found"),
            (f"/v1/products/{nothing}", "sku_not_found"),
            (f"/v1/locations/{nothing}", "location_not_found"),
            (f"/v1/locations/{nothing}/inventory", "location_not_found"),
            (f"/v1/inventory/{self.store}/{nothing}", "stock_not_found"),
            (f"/v1/inventory/{nothing}/{self.sku}", ("stock_not_found", "location_not_found")),
            (f"/v1/inventory/reservations/{nothing}", "reservation_not_found"),
            (f"/v1/dispatch/deliveries/{nothing}.1", "delivery_not_found"),
            (f"/v1/dispatch/dead-letters/{nothing}.1", ("dead_letter_not_found", "delivery_not_found")),
            (f"/v1/analytics/dashboard?store_id={nothing}", "store_not_found"),
            (f"/v1/analytics/sales?store_id={nothing}", "store_not_found"),
            (f"/v1/analytics/products?store_id={nothing}", "store_not_found"),
            (f"/v1/orders?store_id={nothing}", "store_not_found"),
        ]:
            yield Case(f"GET {path}", self.ask(path), 404, code)

    def cart_states(self) -> Iterator[Case]:
        state, line = "wrong_cart_state", {"sku": self.sku, "quantity": 1}
        for name, cart in [
            ("tendering", self.tendering),
            ("paid", self.paid),
            ("final", self.final),
            ("voided", self.voided),
        ]:
            of = {"cart_id": cart}
            yield Case(f"{name}: add a line", self.command("add_line_item", {**of, **line}), 409, state)
            yield Case(
                f"{name}: change a line",
                self.command("update_line_item", {**of, "line_id": "l-1", "quantity": 2}),
                409,
                state,
            )
            yield Case(
                f"{name}: remove a line",
                self.command("remove_line_item", {**of, "line_id": "l-1"}),
                409,
                state,
            )
            give = {**of, "kind": "percent_cart", "value": 100, "reason": "x"}
            yield Case(f"{name}: give a discount", self.command("apply_manual_discount", give), 409, state)
            take = {**of, "discount_id": "d-1"}
            yield Case(f"{name}: take one back", self.command("remove_manual_discount", take), 409, state)
            coupon = self.command("apply_coupon", {**of, "coupon_code": "NO-SUCH"})
            yield Case(f"{name}: redeem an unknown coupon", coupon, 404, "coupon_not_found")
            for action, named in [
                ("apply_coupon", {"coupon_code": self.coupon}),
                ("apply_promo", {"promo_id": self.promotion}),
            ]:
                yield Case(f"{name}: {action}", self.command(action, {**of, **named}), 409, state)
            yield Case(f"{name}: set tendering", self.command("set_tendering", of), 409, state)
        for name, cart in [("final", self.final), ("voided", self.voided)]:
            of = {"cart_id": cart}
            pay = {**of, "tender": "cash", "amount": pounds(250)}
            yield Case(
                f"{name}: set customer", self.command("set_customer", {**of, "customer_id": "x"}), 409, state
            )
            yield Case(f"{name}: resume editing", self.command("resume_editing", of), 409, state)
            yield Case(f"{name}: pay", self.command("add_payment", pay), 409, state)
            yield Case(
                f"{name}: take a payment back",
                self.command("remove_payment", {**of, "payment_id": "p-1"}),
                409,
                state,
            )
            yield Case(f"{name}: finalise", self.command("finalize_order", of), 409, state)
            yield Case(f"{name}: void", self.command("void_cart", of), 409, state)
        final = "finalize_order"
        empty, half = {"cart_id": self.empty}, {"cart_id": self.half_paid}
        yield Case("finalise an empty cart", self.command(final, empty), 409, (state, "cart_empty"))
        yield Case("finalise an open cart", self.command(final, {"cart_id": self.open}), 409, state)
        yield Case(
            "finalise without payment", self.command(final, {"cart_id": self.tendering}), 409, "underpaid"
        )
        yield Case("finalise half paid", self.command(final, half), 409, "underpaid")
        yield Case("tender an empty cart", self.command("set_tendering", empty), 409, "cart_empty")
        yield Case("edit with payments", self.command("resume_editing", half), 409, "payments_present")
        pay = {"tender": "cash", "amount": pounds(1)}
        yield Case("pay an open cart", self.command("add_payment", {"cart_id": self.open, **pay}), 409, state)
        yield Case(
            "pay more than all",
            self.command("add_payment", {"cart_id": self.paid, **pay}),
            409,
            (state, "overpaid"),
        )
        nothing = self.command("update_line_item", {"cart_id": self.open, "line_id": "l-1"})
        yield Case("change nothing", nothing, 422, "nothing_to_update")
        for id in (self.open, self.final, self.returning):
            yield Case(f"create {id} again", self.command("create_cart", {"cart_id": id}), 409, "cart_exists")
        kind = "wrong_cart_kind"
        yield Case(
            "a sale's line on a return",
            self.command("add_line_item", {"cart_id": self.returning, **line}),
            409,
            kind,
        )
        yield Case("finalise a return as a sale", self.command(final, {"cart_id": self.returning}), 409, kind)
        yield Case(
            "finalise a sale as a return",
            self.command("finalize_return", {"return_id": self.paid}),
            409,
            kind,
        )
        yield Case(
            "void a sale as a return", self.command("void_return", {"return_id": self.open}), 409, kind
        )
        own = [("register", {"register_id": "r-2"}), ("store", {"store_id": self.second_store})]
        for name, changed in own:
            request = self.command("add_line_item", self.line(), **changed)
            yield Case(f"from another {name}", request, 409, f"cart_of_another_{name}")
        back = {"return_id": self.returning, "line_id": "l-1", "disposition": "restock"}
        for name, payload, status, code in [
            ("more than was sold", {**back, "quantity": 2}, 409, "return_above_sold"),
            ("nothing", {**back, "quantity": 0}, 422, "quantity_invalid"),
            ("an unknown line", {**back, "line_id": "l-9", "quantity": 1}, 404, "line_not_found"),
            ("an unknown disposition", {**back, "quantity": 1, "disposition": "eaten"}, 422, "field_invalid"),
            (
                "by SKU of a known sale",
                {
                    "return_id": self.returning,
                    "sku": self.sku,
                    "unit_price": "99",
                    "quantity": 1,
                    "disposition": "none",
                },
                (409, 422),
                "original_line_required",
            ),
            (
                "by line of a blind one",
                {**back, "return_id": self.blind, "quantity": 1},
                (409, 422),
                "sku_and_price_required",
            ),
            (
                "a blind one without a price",
                {"return_id": self.blind, "sku": self.sku, "quantity": 1, "disposition": "none"},
                422,
                "line_or_sku_required",
            ),
        ]:
            yield Case(f"return: {name}", self.command("return_line_item", payload), status, code)
        # One piece was sold, and is on this return already.
        twice = self.command("return_line_item", {**back, "return_id": self.unrefunded, "quantity": 1})
        yield Case("return: what is on it already", twice, 409, "return_above_sold")
        refund = {"return_id": self.unrefunded, "tender": "card", "amount": pounds(250)}
        yield Case(
            "refund above the return",
            self.command("refund_tender", {**refund, "amount": pounds(251)}),
            409,
            ("overpaid", "refund_above_paid"),
        )
        for tender in ("cash", "gift_card", "voucher", "account"):
            yield Case(
                f"refund by a tender that was not used: {tender}",
                self.command("refund_tender", {**refund, "tender": tender}),
                409,
                "refund_above_paid",
            )
        finish = "finalize_return"
        yield Case(
            "finalise an unrefunded return",
            self.command(finish, {"return_id": self.unrefunded}),
            409,
            "underpaid",
        )
        yield Case(
            "finalise an empty return", self.command(finish, {"return_id": self.returning}), 409, "cart_empty"
        )
