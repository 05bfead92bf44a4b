"""What can be wrong with a command as it is sent: its JSON, its envelope, its key."""

import json
from collections.abc import Iterator

from hostile_client import CARD, Case, HostileClient, Request, expect


class BadCommands(HostileClient):
    """Tables of commands that are refused for their form."""

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
