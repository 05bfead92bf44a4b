"""What can be wrong with a command: its JSON, its envelope, its key, its numbers and texts, its cart."""

import json
from collections.abc import Iterator

from hostile_client import CARD, CARDS, DISGUISED_CARDS, Case, HostileClient, Request, expect, pounds


class BadCommands(HostileClient):
    """Tables of commands that are refused."""

    def bodies(self) -> Iterator[Case]:
        update = self.stock_update()
        routes = [
            ("POST", "/v1/pos/command", json.dumps(self.envelope("set_tendering", {"cart_id": self.open}))),
            ("POST", "/v1/pos/commands", json.dumps({"commands": []})),
            ("POST", "/v1/orders", json.dumps(self.order())),
            ("POST", "/v1/inventory/update", json.dumps(update)),
            ("POST", "/v1/inventory/reserve", json.dumps({"lines": [self.stock_line(1)], "ttl_seconds": 9})),
            ("POST", "/v1/locations", json.dumps({"id": f"n-{self.run}"})),
            ("PUT", f"/v1/products/{self.sku}", json.dumps({"name": "n"})),
            ("POST", "/v1/dispatch/dead-letters/replay", json.dumps({"limit": 1})),
        ]
        for method, path, good in routes:
            middle = good[:-1]
            bodies = [
                ("cut off", middle.encode()),
                ("no body", None),
                ("empty", b""),
                ("text", b"hello"),
                ("a number with a tail", b"7 7"),
                ("two documents", (good + good).encode()),
                ("100,000 arrays deep", b"[" * 100_000),
                ("100,000 objects deep", b'{"a":' * 100_000),
                ("deep within a member", (middle + ',"x":' + "[" * 100_000).encode()),
                ("a byte order mark", b"\xef\xbb\xbf" + good.encode()),
                ("UTF-16", good.encode("utf-16")),
                ("NaN", (middle + ',"x":NaN}').encode()),
                ("a comment", b"/* x */" + good.encode()),
                ("a trailing comma", (middle + ",}").encode()),
                ("single quotes", good.replace('"', "'").encode()),
            ]
            for name, body in bodies:
                # An absent body may stand for no filters; there is nothing it could change.
                yield Case(f"{path}: {name}", self.keyed(method, path, body), 400, "json_malformed")
            # JSON by its grammar, but nothing that can be held. (The emulator replaces what is not UTF-8.)
            for name, body in [
                ("not UTF-8", good.encode().replace(b'"', b'"\xff', 1)),
                ("a lone surrogate", (middle + ',"x":"\\ud800"}').encode()),
                ("1e400", (middle + ',"x":1e400}').encode()),
            ]:
                codes = ("json_malformed", "field_invalid")
                yield Case(f"{path}: {name}", self.keyed(method, path, body), (400, 422), codes)
            for name, body in [
                ("an array", b"[]"),
                ("null", b"null"),
                ("a text", b'"x"'),
                ("a number", b"7"),
            ]:
                codes = ("json_malformed", "field_invalid")
                yield Case(f"{path}: {name}", self.keyed(method, path, body), (400, 422), codes)
        wrong = ("json_malformed", "field_invalid")
        positional = [
            ("/v1/inventory/update", [self.store, self.sku, "delta", 5, "found", None]),
            ("/v1/inventory/reserve", [None, [[self.store, self.sku, 1]], 900, None]),
            ("/v1/orders", [None, self.store, "web", None, [[self.sku, 1, None]], [], None]),
        ]
        for path, body in positional:
            yield Case(f"{path}: members by position", self.keyed("POST", path, body), (400, 422), wrong)
        repeated = [
            ("/v1/inventory/update", update, '"quantity": 5', '"quantity": 5, "quantity": 50'),
            ("/v1/orders", self.order(), '"quantity": 1', '"quantity": 1, "quantity": 2'),
            (
                "/v1/pos/command",
                self.envelope("add_line_item", self.line(1)),
                '"quantity": 1',
                '"quantity": 1, "quantity": 2',
            ),
            (
                "/v1/pos/command",
                self.envelope("void_cart", {"cart_id": self.open}),
                '"action": "void_cart"',
                '"action": "set_tendering", "action": "void_cart"',
            ),
        ]
        for path, good, once, twice in repeated:
            text = json.dumps(good)
            expect(once in text, f"{once} is not in {text}")
            request = self.keyed("POST", path, text.replace(once, twice, 1))
            yield Case(f"{path}: a member twice: {twice}", request, (400, 422), wrong)

    def stock_update(self, **changed) -> dict:
        update = {
            "location_id": self.store,
            "sku": self.sku,
            "kind": "delta",
            "quantity": 5,
            "reason": "found",
        }
        return {**update, **changed}

    def line(self, quantity=1, **changed) -> dict:
        return {"cart_id": self.open, "sku": self.sku, "quantity": quantity, **changed}

    def envelopes(self) -> Iterator[Case]:
        def changed(name: str, code: str | tuple, status: int, member: str | None, **members) -> Case:
            return Case(name, self.command("add_line_item", self.line(), **members), status, code, member)

        yield changed("unknown action", "unknown_action", 422, "action", action="sell")
        yield changed("action in capitals", "unknown_action", 422, "action", action="ADD_LINE_ITEM")
        yield changed("no action", "unknown_action", 422, "action", action="")
        virtual = {"register_id": "virtual-1"}
        yield changed("a register of web orders", "register_virtual", 422, "register_id", **virtual)
        yield changed("a card number as action", "unknown_action", 422, "action", action=CARD)
        for version in ("2", "1.0", "", "v1"):
            yield changed(f"version {version!r}", "unsupported_version", 422, "version", version=version)
        for version in (1, None, [], {}):
            yield changed(f"version {version!r}", "field_invalid", 422, "version", version=version)
        for name in ("store_id", "register_id", "action", "idempotency_key"):
            for wrong in (7, [], {}, True):
                yield changed(f"{name} {wrong!r}", "field_invalid", 422, name, **{name: wrong})
        for name in ("store_id", "register_id", "employee_id"):
            for wrong in (
                "",
                "a b",
                "a#b",
                "a/b",
                "../x",
                "a\u0000b",
                "é",
                "x" * 65,
                "-x",
                "%23",
                "x" * 10_000,
            ):
                yield changed(f"{name} {wrong[:20]!r}", "id_malformed", 422, name, **{name: wrong})
        for name in ("store_id", "register_id", "action", "payload", "version"):
            envelope = {key: value for key, value in self.envelope("x", {}).items() if key != name}
            yield Case(
                f"without {name}", Request("POST", "/v1/pos/command", envelope), 422, "field_invalid", name
            )
        yield changed("an unknown member", "field_invalid", 422, "tenant_id", tenant_id="demo")
        yield changed("reply of an unknown kind", "field_invalid", 422, "reply", reply="everything")
        for at in (
            "yesterday",
            "2010-02-30T00:00:00Z",
            "2010-12-01T08:26:00",
            "2010-12-01T08:26:00Z[Europe/Paris]",
            "2010-12-01T08:26:00+25:00",
            "2010-12-01T08Z",
            1291191960,
            "9999-99-99T00:00:00Z",
        ):
            yield changed(f"occurred_at {at!r}", "field_invalid", 422, "occurred_at", occurred_at=at)
        yield changed(
            "in the future", "occurred_at_in_future", 422, "occurred_at", occurred_at="2199-01-01T00:00:00Z"
        )
        yield changed(
            "before 1970", "occurred_at_too_old", 422, "occurred_at", occurred_at="1969-01-01T00:00:00Z"
        )
        for payload in ([], None, 7, "x"):
            yield changed(f"payload {payload!r}", "field_invalid", 422, "payload", payload=payload)
        for member, wrong in [
            ("cart_id", 7),
            ("sku", 7),
            ("sku", []),
            ("notes", 7),
            ("approval_id", {}),
            ("quantity", None),
            ("quantity", True),
            ("quantity", []),
            ("quantity", {}),
            ("unit_price_override", 2.55),
        ]:
            request = self.command("add_line_item", self.line(**{member: wrong}))
            yield Case(f"{member} {wrong!r}", request, 422, "field_invalid", f"payload.{member}")
        request = self.command("add_line_item", self.line(discount=5))
        yield Case("an unknown member of the payload", request, 422, "field_invalid", "payload.discount")
        batches = [
            ("no commands", {"commands": []}, "batch_size"),
            ("1,001 commands", {"commands": [{}] * 1_001}, "batch_size"),
            ("commands that are no list", {"commands": {}}, "field_invalid"),
            ("without commands", {}, "field_invalid"),
            ("an unknown member", {"commands": [{}], "x": 1}, "field_invalid"),
        ]
        for name, body, code in batches:
            yield Case(f"batch: {name}", Request("POST", "/v1/pos/commands", body), 422, code)

    def idempotency_keys(self) -> Iterator[Case]:
        missing, malformed = "idempotency_key_missing", "idempotency_key_malformed"
        envelope = self.envelope("add_line_item", self.line())
        without = {name: value for name, value in envelope.items() if name != "idempotency_key"}
        yield Case("command without", Request("POST", "/v1/pos/command", without), 400, missing)
        for name, key, status, code in [
            ("null", None, 400, missing),
            ("empty", "", 400, missing),
            ("129 characters", "x" * 129, 422, malformed),
            ("10,000 characters", "x" * 10_000, 422, malformed),
            ("not ASCII", "ключ", 422, malformed),
            ("a control character", "a\u0001b", 422, malformed),
            ("a line break", "a\nb", 422, malformed),
        ]:
            yield Case(
                f"command: {name}",
                self.command("add_line_item", self.line(), idempotency_key=key),
                status,
                code,
            )
        routes = [
            ("POST", "/v1/inventory/update", self.stock_update()),
            ("POST", "/v1/inventory/reserve", {"lines": [self.stock_line(1)], "ttl_seconds": 60}),
            ("POST", f"/v1/inventory/reservations/{self.reservation}/commit", {}),
            ("POST", f"/v1/inventory/reservations/{self.reservation}/release", {}),
            ("POST", f"/v1/inventory/reservations/{self.reservation}/extend", {"ttl_seconds": 7200}),
            ("POST", f"/v1/inventory/exceptions/x-{self.run}/resolve", {"reason": "found"}),
            ("POST", "/v1/orders", self.order()),
            ("PUT", f"/v1/orders/{self.second_order}", {"status": "cancelled"}),
            ("POST", "/v1/dispatch/dead-letters/replay", {}),
            (
                "POST",
                "/v1/locations",
                {"id": f"n-{self.run}", "kind": "store", "name": "n", "time_zone": "UTC", "currency": "GBP"},
            ),
            ("PUT", f"/v1/products/n-{self.run}", {"name": "n", "unit_price": "1", "currency": "GBP"}),
        ]
        for method, path, body in routes:
            yield Case(f"{path}: none", Request(method, path, body), 400, missing)
            for name, key in [("empty", ""), ("129 characters", "x" * 129), ("not ASCII", b"\xc3\xa9")]:
                request = Request(method, path, body, {"Idempotency-Key": key})
                status, code = ((400, 422), (missing, malformed)) if key == "" else (422, malformed)
                yield Case(f"{path}: {name}", request, status, code)
        reused = "idempotency_key_reused"
        used = self.makers[self.open]
        other_payload = {**used, "payload": {**used["payload"], "channel": "web"}}
        yield Case(
            "create_cart: used with another payload",
            Request("POST", "/v1/pos/command", other_payload),
            422,
            reused,
        )
        other_action = {**self.finalising, "action": "void_cart"}
        yield Case("used with another action", Request("POST", "/v1/pos/command", other_action), 422, reused)
        other_order = self.order(order_id=self.second_order, channel="mobile")
        order = Request("POST", "/v1/orders", other_order, self.second_key)
        yield Case("order: used with another payload", order, 422, reused)

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
