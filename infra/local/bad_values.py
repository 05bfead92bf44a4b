"""What can be wrong with the values of a command: numbers, texts, discounts, coupons and promotions."""

import json
from collections.abc import Iterator

from hostile_client import CARD, CARDS, DISGUISED_CARDS, Case, HostileClient, Request, pounds


class BadValues(HostileClient):
    """Tables of values that are refused."""

    def numbers(self) -> Iterator[Case]:
        invalid, malformed = "quantity_invalid", "field_invalid"

        def raw(name: str, text: str, status, code, sku: str | None = None) -> Iterator[Case]:
            """Python would not write such numbers, so they are put into the text."""
            for action, payload in [
                ("add_line_item", {**self.line("@"), "sku": sku or self.sku}),
                ("update_line_item", {"cart_id": self.open, "line_id": "l-1", "quantity": "@"}),
            ]:
                if sku and action == "update_line_item":
                    continue
                body = json.dumps(self.envelope(action, payload)).replace('"@"', text)
                yield Case(
                    f"{action}: quantity {name}", Request("POST", "/v1/pos/command", body), status, code
                )
            for path, body in [
                ("/v1/orders", self.order(lines=[{"sku": sku or self.sku, "quantity": "@"}])),
                (
                    "/v1/inventory/reserve",
                    {"lines": [self.stock_line("@", sku=sku or self.sku)], "ttl_seconds": 9},
                ),
            ]:
                request = self.keyed("POST", path, json.dumps(body).replace('"@"', text))
                yield Case(f"{path}: quantity {name}", request, status, code)

        for text in (
            "0",
            "-1",
            "1000001",
            "1000000000000",
            "9223372036854775808",
            '"2"',
            '"1.5"',
            '""',
            '"abc"',
        ):
            yield from raw(text, text, 422, invalid)
        for text in ("1.5", "1.0", "1e3", "1e18", "null", "true", "[]", "{}"):
            # A null in an update is as good as an absent quantity.
            yield from raw(text, text, 422, (malformed, invalid, "nothing_to_update"))
        for text in ("NaN", "Infinity", "-Infinity", "1e400", "0x10", "01", "+1", "1_000", ".5"):
            yield from raw(text, text, (400, 422), ("json_malformed", malformed))
        for text in (
            "1",
            '"0"',
            '"0.000"',
            '"-0.5"',
            '"0.4825"',
            '"1e2"',
            '"1,5"',
            '" 1"',
            '"٣"',
            '"NaN"',
            '"1000001"',
        ):
            yield from raw(f"{text} of what is weighed", text, 422, invalid, self.rice)
        for price in (
            "1.23456",
            "-1",
            "-0.01",
            "1000000",
            "1e3",
            "",
            "NaN",
            "1,50",
            " 1",
            "0x1",
            "1.",
            ".5",
            "+1",
        ):
            request = self.command("add_line_item", self.line(unit_price_override=price))
            yield Case(f"price {price!r}", request, 422, malformed, "payload.unit_price_override")
            request = self.keyed(
                "POST",
                "/v1/orders",
                self.order(lines=[{"sku": self.sku, "quantity": 1, "unit_price": price}]),
            )
            yield Case(f"order: price {price!r}", request, 422, malformed, "lines[0].unit_price")
            line = {
                "return_id": self.blind,
                "sku": self.sku,
                "quantity": 1,
                "disposition": "none",
                "unit_price": price,
            }
            yield Case(
                f"blind return: price {price!r}", self.command("return_line_item", line), 422, malformed
            )
        request = self.command("add_line_item", self.line(1_000_000, unit_price_override="999999.9999"))
        yield Case("a line above all amounts", request, 422, "amount_out_of_range")
        lines = [{"sku": self.sku, "quantity": 1_000_000, "unit_price": "999999.9999"}]
        yield Case(
            "an order above all amounts",
            self.keyed("POST", "/v1/orders", self.order(lines=lines)),
            422,
            "amount_out_of_range",
        )
        for name, amount, status, code in [
            ("0", pounds(0), 422, "amount_not_positive"),
            ("-1", pounds(-1), 422, "amount_not_positive"),
            ("a fraction", pounds(1.5), 422, malformed),
            ("a text", pounds("100"), 422, malformed),
            ("null", None, 422, malformed),
            ("a bare number", 100, 422, malformed),
            ("without a currency", {"amount": 100}, 422, malformed),
            ("of another currency", {"amount": 100, "currency": "EUR"}, 422, "currency_mismatch"),
            (
                "of an unknown currency",
                {"amount": 100, "currency": "ZZZ"},
                422,
                ("currency_mismatch", malformed),
            ),
            ("of a currency in small letters", {"amount": 100, "currency": "gbp"}, 422, malformed),
            ("above 10^12", pounds(10**12 + 1), 422, ("amount_out_of_range", malformed)),
            ("2^63", pounds(2**63), 422, ("amount_out_of_range", malformed)),
            ("10^30", pounds(10**30), (400, 422), ("amount_out_of_range", malformed, "json_malformed")),
            ("with an unknown member", {**pounds(100), "x": 1}, 422, malformed),
        ]:
            for action, payload in [
                ("add_payment", {"cart_id": self.tendering, "tender": "cash", "amount": amount}),
                ("refund_tender", {"return_id": self.unrefunded, "tender": "card", "amount": amount}),
            ]:
                yield Case(f"{action}: {name}", self.command(action, payload), status, code)
        paying = {"cart_id": self.tendering, "tender": "card", "amount": pounds(250)}
        for name, changed, status, code in [
            ("above what is due, by card", {"amount": pounds(251)}, 409, "overpaid"),
            ("above what is due, by voucher", {"amount": pounds(251), "tender": "voucher"}, 409, "overpaid"),
            ("a negative tip", {"tip": pounds(-1)}, 422, "amount_not_positive"),
            (
                "a tip of another currency",
                {"tip": {"amount": 1, "currency": "EUR"}},
                422,
                "currency_mismatch",
            ),
            ("a tip above 10^12", {"tip": pounds(10**12 + 1)}, 422, ("amount_out_of_range", malformed)),
            ("an unknown tender", {"tender": "shells"}, 422, "unknown_tender"),
            ("an empty tender", {"tender": ""}, 422, "unknown_tender"),
        ]:
            yield Case(f"payment: {name}", self.command("add_payment", {**paying, **changed}), status, code)
        for name, total, status, code in [
            ("less than it comes to", pounds(249), 409, "total_differs"),
            ("more than it comes to", pounds(251), 409, "total_differs"),
            ("below nothing", pounds(-250), 422, "amount_out_of_range"),
            ("of another currency", {"amount": 250, "currency": "EUR"}, 422, "currency_mismatch"),
            ("that is a number", 250, 422, malformed),
        ]:
            request = self.command("finalize_order", {"cart_id": self.paid, "total": total})
            yield Case(f"finalise at a total {name}", request, status, code)
        below, above = (
            [{"tender": "card", "amount": pounds(249)}],
            [{"tender": "card", "amount": pounds(251)}],
        )
        for name, payments, code in [
            ("below the total", below, "underpaid"),
            ("above the total", above, "overpaid"),
        ]:
            yield Case(
                f"order: payment {name}",
                self.keyed("POST", "/v1/orders", self.order(payments=payments)),
                409,
                code,
            )
        for name, changed, code in [
            ("no lines", {"lines": []}, "lines_required"),
            ("lines that are no list", {"lines": {}}, malformed),
            ("an unknown member", {"total": 1}, malformed),
            ("an unknown member of a line", {"lines": [{"sku": self.sku, "quantity": 1, "x": 1}]}, malformed),
            ("an order id with a separator", {"order_id": "a#b"}, "id_malformed"),
            ("a channel with a space", {"channel": "a b"}, "id_malformed"),
            ("a coupon with a space", {"coupons": ["a b"]}, "id_malformed"),
            ("a coupon that is no text", {"coupons": [7]}, malformed),
            ("too many coupons", {"coupons": [f"c{n}" for n in range(11)]}, "too_many_coupons"),
            ("too many promotions", {"promotions": ["p"] * 101}, "too_many_promotions"),
            (
                "long notes",
                {"lines": [{"sku": self.sku, "quantity": 1, "notes": "x" * 501}]},
                "text_too_long",
            ),
            (
                "a tip below nothing",
                {"payments": [{"tender": "card", "amount": pounds(250), "tip": pounds(-1)}]},
                "amount_not_positive",
            ),
            (
                "a payment of 0",
                {"payments": [{"tender": "card", "amount": pounds(0)}]},
                "amount_not_positive",
            ),
        ]:
            yield Case(f"order: {name}", self.keyed("POST", "/v1/orders", self.order(**changed)), 422, code)

    def texts(self) -> Iterator[Case]:
        refused = "card_number_refused"
        line = {"return_id": self.unrefunded, "tender": "card", "amount": pounds(250)}
        pay = {"cart_id": self.tendering, "tender": "card", "amount": pounds(250)}
        fields = [
            ("add_line_item", "notes", self.line()),
            ("update_line_item", "notes", {"cart_id": self.open, "line_id": "l-1"}),
            ("add_payment", "external_reference", pay),
            ("refund_tender", "external_reference", line),
            ("void_cart", "reason", {"cart_id": self.open}),
            ("void_return", "reason", {"return_id": self.blind}),
            ("start_return", "reason", {"original_order_id": self.final}),
        ]
        for action, name, payload in fields:
            # One way of looking serves all fields, so disguises are tried on the first.
            disguises = DISGUISED_CARDS if action == "add_line_item" else ()
            for card in (*CARDS, *disguises):
                request = self.command(action, {**payload, name: f"card {card} please"})
                yield Case(f"{action}: {name} {card!r}", request, 422, refused, f"payload.{name}")
            for title, text, code in [
                ("too long", "x" * 501, "text_too_long"),
                ("a control character", "a\u0000b", "text_malformed"),
                ("an escape sequence", "\u001b[31m", "text_malformed"),
            ]:
                request = self.command(action, {**payload, name: text})
                yield Case(f"{action}: {name} {title}", request, 422, code, f"payload.{name}")
        ids = [
            ("create_cart", "customer_id", {}),
            ("set_customer", "customer_id", {"cart_id": self.open}),
            ("create_cart", "channel", {}),
            ("add_payment", "entry_method", pay),
        ]
        for action, name, payload in ids:
            for card in (CARD, "4111-1111-1111-1111"):
                request = self.command(action, {**payload, name: card})
                yield Case(f"{action}: {name} {card!r}", request, 422, refused, f"payload.{name}")
        request = self.command("add_line_item", self.line(), employee_id=CARD)
        yield Case("employee_id", request, 422, refused, "employee_id")
        for card in CARDS:
            payments = [{"tender": "card", "amount": pounds(250), "external_reference": card}]
            yield Case(
                f"order: reference {card!r}",
                self.keyed("POST", "/v1/orders", self.order(payments=payments)),
                422,
                refused,
                "payments[0].external_reference",
            )
            yield Case(
                f"stock update: reason {card!r}",
                self.keyed("POST", "/v1/inventory/update", self.stock_update(reason=card)),
                422,
                refused,
                "reason",
            )
        for name in ("customer_id", "channel"):
            request = self.keyed("POST", "/v1/orders", self.order(**{name: CARD}))
            yield Case(f"order: {name}", request, 422, refused, name)
        request = self.command(
            "set_customer", {"cart_id": self.open, "customer_id": f"customer-{self.run}@example.com"}
        )
        yield Case("an e-mail address as customer", request, 422, "id_malformed", "payload.customer_id")
        request = self.command("set_customer", {"cart_id": self.open})
        yield Case("set_customer without one", request, 422, "field_invalid", "payload.customer_id")
        for reason in ("", "   ", "\n"):
            request = self.command("start_return", {"original_order_id": self.final, "reason": reason})
            yield Case(f"return: reason {reason!r}", request, 422, "reason_required")

    def discounts(self) -> Iterator[Case]:
        def give(kind: str, value: object, reason: str = "x", **more: object) -> Request:
            payload = {"cart_id": self.open, "kind": kind, "value": value, "reason": reason, **more}
            return self.command("apply_manual_discount", payload)

        value, field = "discount_value_invalid", "field_invalid"
        for name, request, status, code in [
            ("more than all", give("fixed_cart", pounds(10**9)), 409, "discount_above_total"),
            ("a penny more than all", give("fixed_cart", pounds(251)), 409, "discount_above_total"),
            ("more than its line", give("fixed_line", pounds(251), line_id="l-1"), 409, "discount_above_total"),
            ("of nothing", give("percent_cart", 0), 422, value),
            ("of 100.01 %", give("percent_cart", 10_001), 422, value),
            ("a percentage of money", give("percent_cart", pounds(1)), 422, value),
            ("an amount without currency", give("fixed_cart", 100), 422, value),
            ("a negative amount", give("fixed_cart", pounds(-1)), 422, value),
            ("of another currency", give("fixed_cart", {"amount": 1, "currency": "EUR"}), 422, "currency_mismatch"),
            ("a fraction of a point", give("percent_cart", 1.5), 422, field),
            ("of no kind", give("half", 100), 422, field),
            ("off no line", give("percent_line", 100), 422, "line_required"),
            ("off an unknown line", give("fixed_line", pounds(1), line_id="l-99"), 404, "line_not_found"),
            ("of the cart, off a line", give("percent_cart", 100, line_id="l-1"), 422, "line_not_expected"),
            ("for no reason", give("percent_cart", 100, reason=" "), 422, "reason_required"),
            ("for a long reason", give("percent_cart", 100, reason="x" * 201), 422, "text_too_long"),
            ("for a card", give("percent_cart", 100, reason=CARD), 422, "card_number_refused"),
        ]:
            yield Case(f"a discount {name}", request, status, code)
        for name, given, status, code, member in [
            ("more than all", {"value": pounds(251)}, 409, "discount_above_total", "value"),
            ("of nothing", {"value": 0}, 422, value, "value"),
            ("of 100.01 %", {"value": 10_001}, 422, value, "value"),
            ("of another currency", {"value": {"amount": 1, "currency": "EUR"}}, 422, "currency_mismatch", "value"),
            ("a fraction of a point", {"value": 1.5}, 422, field, "value"),
            ("for no reason", {"value": 100, "reason": " "}, 422, "reason_required", "reason"),
            ("for a card", {"value": 100, "reason": CARD}, 422, "card_number_refused", "reason"),
            ("by nobody's leave", {"value": 100, "approval_id": "none"}, 403, "approval_not_found", "approval_id"),
        ]:
            order = self.order(discounts=[{"reason": "x", **given}])
            request = self.keyed("POST", "/v1/orders", order)
            yield Case(f"order: a discount {name}", request, status, code, f"discounts[0].{member}")
        unknown = self.command("remove_manual_discount", {"cart_id": self.open, "discount_id": "d-99"})
        yield Case("take back an unknown discount", unknown, 404, "discount_not_found")

    def promotions(self) -> Iterator[Case]:
        def send(action: str, **more: object) -> Request:
            return self.command(action, {"cart_id": self.open, **more})

        self.wait_for_rules()

        def coupon(code: str) -> Request:
            return send("apply_coupon", coupon_code=code)

        def promotion(id: str) -> Request:
            return send("apply_promo", promo_id=id)

        off, none = send("remove_coupon", coupon_code=self.coupon), send("remove_promo", promo_id=self.promotion)
        for name, request, status, code in [
            ("redeem a coupon that is over", coupon(f"OVER-{self.run}"), 409, "coupon_expired"),
            ("redeem one too soon", coupon(f"SOON-{self.run}"), 409, "coupon_not_valid"),
            ("redeem one at its limit", coupon(f"ONCE-{self.run}"), 409, "coupon_limit_reached"),
            ("redeem one of one each, for nobody", coupon(f"EACH-{self.run}"), 409, "coupon_needs_customer"),
            ("redeem one in small letters", coupon(self.coupon.lower()), 404, "coupon_not_found"),
            ("apply a promotion that is over", promotion(f"over-{self.run}"), 409, "promotion_expired"),
            ("apply one too soon", promotion(f"soon-{self.run}"), 409, "promotion_not_valid"),
            ("apply a coupon as a promotion", promotion(self.coupon), 404, "promotion_not_found"),
            ("take off a coupon that is not on", off, 404, "coupon_not_applied"),
            ("take off a promotion that is not on", none, 404, "promotion_not_applied"),
            ("redeem an unknown coupon", send("apply_coupon", coupon_code="NO-SUCH"), 404, "coupon_not_found"),
            ("a coupon of no form", send("apply_coupon", coupon_code="a#b\u0000"), 422, "id_malformed"),
            ("a coupon that is a number", send("apply_coupon", coupon_code=7), 422, "field_invalid"),
            ("no coupon", send("apply_coupon"), 422, "field_invalid"),
            ("take off a coupon", send("remove_coupon", coupon_code="NO-SUCH"), 404, "coupon_not_applied"),
            ("apply an unknown promotion", send("apply_promo", promo_id="none"), 404, "promotion_not_found"),
            ("a promotion of no form", send("apply_promo", promo_id="x" * 200), 422, "id_malformed"),
            ("take off a promotion", send("remove_promo", promo_id="none"), 404, "promotion_not_applied"),
        ]:
            yield Case(name, request, status, code)
        for name, modifiers, code in [
            ("no modifier of the product", [{"modifier_id": "none"}], "modifier_not_found"),
            ("a modifier of nothing", [{}], "modifier_invalid"),
            ("a modifier with a price", [{"name": "x", "unit_price": "-5"}], "field_invalid"),
            ("a modifier that names a card", [{"name": CARD}], "card_number_refused"),
            ("51 modifiers", [{"name": "x"}] * 51, "too_many_modifiers"),
            ("modifiers that are none", "large", "field_invalid"),
        ]:
            line = {"sku": self.sku, "quantity": 1, "modifiers": modifiers}
            yield Case(f"add {name}", send("add_line_item", **line), 422, code)
