"""What can be wrong with a token and with what it reaches."""

import hashlib
import hmac
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hostile_client import OTHER_TENANT, TENANT, Case, HostileClient, Request


class BadAccess(HostileClient):
    """Tables of requests by those who may not."""

    def bad_tokens(self) -> Iterator[Case]:
        import tokens

        now = int(time.time())
        claims = {
            "iss": tokens.ISSUER,
            "aud": tokens.AUDIENCE,
            "sub": "hostile",
            "iat": now,
            "exp": now + 600,
            "tenant_id": TENANT,
            "roles": ["operator"],
            "stores": ["*"],
            "scope": "",
        }
        with tempfile.TemporaryDirectory() as directory:
            stranger = tokens.SigningKey(Path(directory) / "key.pem")
        public = self.key.public_key()
        head = {"alg": "ES256", "typ": "JWT", "kid": public["kid"]}
        good = self.key.sign(claims)
        first, middle, signature = good.split(".")

        def part(value) -> str:
            return tokens.text(json.dumps(value).encode())

        def with_claims(**changed) -> str:
            return self.key.sign(
                {name: value for name, value in {**claims, **changed}.items() if value is not ...}
            )

        def forged(header: dict, signed=signature) -> str:
            return f"{part(header)}.{part(claims)}.{signed}"

        def hs256(secret: bytes) -> str:
            text = f"{part({**head, 'alg': 'HS256'})}.{part(claims)}"
            return f"{text}.{tokens.text(hmac.digest(secret, text.encode(), hashlib.sha256))}"

        without_kid = {"alg": "ES256", "typ": "JWT"}
        altered = part({**claims, "tenant_id": OTHER_TENANT})
        algorithm, malformed = "token_algorithm_refused", "token_malformed"
        signed_wrongly, claims_wrong = "token_signature_invalid", "token_claims_malformed"
        listed = [
            ("expired", with_claims(iat=now - 7200, exp=now - 60), "token_expired"),
            ("expired long ago", with_claims(exp=0), "token_expired"),
            ("without expiry", with_claims(exp=...), claims_wrong),
            ("expiry as text", with_claims(exp=str(now + 600)), claims_wrong),
            ("nbf in the future", with_claims(nbf=now + 600), "token_from_future"),
            ("iat in the future", with_claims(iat=now + 600), "token_from_future"),
            ("another issuer", with_claims(iss="https://evil.example"), "token_issuer_wrong"),
            ("without issuer", with_claims(iss=...), "token_issuer_wrong"),
            ("another audience", with_claims(aud="another-service"), "token_audience_wrong"),
            ("other audiences", with_claims(aud=["a", "b"]), "token_audience_wrong"),
            ("without audience", with_claims(aud=...), "token_audience_wrong"),
            ("without tenant", with_claims(tenant_id=...), claims_wrong),
            ("an empty tenant", with_claims(tenant_id=""), claims_wrong),
            ("a tenant with a separator", with_claims(tenant_id=f"{TENANT}#cart"), claims_wrong),
            ("a list of tenants", with_claims(tenant_id=[TENANT]), claims_wrong),
            ("without subject", with_claims(sub=...), claims_wrong),
            ("an empty subject", with_claims(sub=""), claims_wrong),
            ("roles as text", with_claims(roles="operator"), claims_wrong),
            ("a register with a separator", with_claims(register_id="a#b"), claims_wrong),
            ("1,001 stores", with_claims(stores=["x"] * 1_001), claims_wrong),
            ("another key by its own name", stranger.sign(claims), "token_key_unknown"),
            (
                "another key under the known name",
                forged(head, stranger.sign(claims).split(".")[2]),
                signed_wrongly,
            ),
            ("other claims under a good signature", f"{first}.{altered}.{signature}", signed_wrongly),
            ("a signature of zeros", forged(head, tokens.text(bytes(64))), signed_wrongly),
            ("without signature", forged(head, ""), (signed_wrongly, malformed)),
            ("a signature cut short", forged(head, signature[:40]), (signed_wrongly, malformed)),
            ("alg none", forged({**head, "alg": "none"}, ""), algorithm),
            ("alg NONE", forged({**head, "alg": "NONE"}, ""), algorithm),
            ("alg RS256", forged({**head, "alg": "RS256"}), algorithm),
            ("alg ES384", forged({**head, "alg": "ES384"}), algorithm),
            ("HS256 by the public key's JSON", hs256(json.dumps(public).encode()), algorithm),
            ("HS256 by the public key's x", hs256(public["x"].encode()), algorithm),
            ("HS256 without a secret", hs256(b""), algorithm),
            ("a critical extension", forged({**head, "crit": ["exp"]}), algorithm),
            ("without key id", forged(without_kid), "token_key_missing"),
            ("an empty key id", forged({**head, "kid": ""}), "token_key_missing"),
            ("an unknown key id", forged({**head, "kid": "unknown"}), "token_key_unknown"),
            ("a path as key id", forged({**head, "kid": "../../dev/null"}), "token_key_unknown"),
            ("a number as key id", forged({**head, "kid": 7}), malformed),
            (
                "a key of its own",
                forged({**head, "kid": "own", "jwk": stranger.public_key()}),
                "token_key_unknown",
            ),
            ("garbage", "garbage", malformed),
            ("dots", "..", malformed),
            ("four parts", f"{good}.x", malformed),
            ("a header that is no JSON", f"{tokens.text(b'x')}.{middle}.{signature}", malformed),
            ("a header that is a list", f"{part([])}.{middle}.{signature}", malformed),
            ("standard base64", f"{first}=.{middle}.{signature}", malformed),
            ("9 KB", self.key.sign({**claims, "x": "y" * 7_000}), malformed),
            ("no token behind Bearer", "", ("token_missing", malformed)),
        ]
        envelope = self.envelope("add_line_item", self.line())
        for name, token, code in listed:
            # The text is not one of the cast's names, so it is sent as it is.
            yield Case(
                name, Request("GET", "/v1/orders", headers={"Authorization": f"Bearer {token}"}), 401, code
            )
            request = Request("POST", "/v1/pos/command", envelope, {"Authorization": f"Bearer {token}"})
            yield Case(f"{name}, with a command", request, 401, code)
        missing = "token_missing"
        yield Case("none", Request("GET", "/v1/orders", token=None), 401, missing)
        for name, value in [
            ("Basic", "Basic dXNlcjpwYXNz"),
            ("no scheme", good),
            ("empty", ""),
            ("Token", f"Token {good}"),
        ]:
            request = Request("GET", "/v1/orders", headers={"Authorization": value}, token=None)
            yield Case(name, request, 401, missing)
        yield Case(
            "in the query only", Request("GET", f"/v1/orders?access_token={good}", token=None), 401, missing
        )
        # Above what API Gateway lets through in headers: its answer or ours.
        long = {"Authorization": f"Bearer {'x' * 100_000}"}
        yield Case("100 KB", Request("GET", "/v1/orders", headers=long), (400, 401, 413, 431, 494), None)
        self.secret_texts += [token for _, token, _ in listed if len(token) > 100]

    def routes_without_token(self) -> Iterator[Case]:
        paths = self.api.get("/v1/openapi.json")["paths"]
        for path, operations in sorted(paths.items()):
            for method in sorted(operations):
                operation = operations[method]
                if (
                    path in ("/v1/health", "/v1/openapi.json", "/.well-known/jwks.json")
                    or operation.get("security") == []
                ):
                    continue
                filled = path.replace("{sku}", self.sku).replace("{location_id}", self.store)
                filled = filled.replace("{entity}", "catalog").replace("{id}", self.final)
                body = None if method == "get" else b"{}"
                request = self.keyed(method.upper(), filled, body, None)
                yield Case(f"{method.upper()} {path}", request, 401, "token_missing")

    def reach(self) -> Iterator[Case]:
        role, out = "role_required", "store_out_of_reach"
        update, reserve = self.stock_update(), {"lines": [self.stock_line(1)], "ttl_seconds": 9}
        product = {"name": "n", "unit_price": "1", "currency": "GBP"}
        location = {
            "id": f"n-{self.run}",
            "kind": "store",
            "name": "n",
            "time_zone": "UTC",
            "currency": "GBP",
        }
        feed = json.dumps({"id": f"n-{self.run}", "version": 1, "op": "upsert", "data": product})
        recorded = {**self.order(), "occurred_at": "2026-01-05T10:00:00Z"}
        forbidden = [
            ("nobody analyst warehouse integration", self.command("add_line_item", self.line())),
            ("nobody analyst warehouse", self.keyed("POST", "/v1/orders", self.order())),
            ("nobody analyst cashier", self.keyed("POST", "/v1/inventory/update", update)),
            ("nobody analyst", self.keyed("POST", "/v1/inventory/reserve", reserve)),
            (
                "nobody analyst cashier integration",
                self.keyed("POST", f"/v1/inventory/exceptions/x-{self.run}/resolve", {"reason": "found"}),
            ),
            (
                "nobody analyst",
                self.keyed("POST", f"/v1/inventory/reservations/{self.reservation}/commit", {}),
            ),
            (
                "nobody analyst",
                self.keyed("POST", f"/v1/inventory/reservations/{self.reservation}/release", {}),
            ),
            ("nobody analyst cashier warehouse", self.keyed("PUT", f"/v1/products/{self.sku}", product)),
            ("nobody analyst cashier warehouse", self.keyed("POST", "/v1/locations", location)),
            ("nobody analyst cashier warehouse manager", self.keyed("POST", "/v1/sync/catalog", feed)),
            ("nobody analyst cashier warehouse", self.ask("/v1/sync/status")),
            ("nobody analyst cashier warehouse", self.ask("/v1/dispatch/deliveries")),
            ("nobody analyst cashier warehouse", self.ask("/v1/dispatch/dead-letters")),
            ("nobody analyst cashier warehouse", self.keyed("POST", "/v1/dispatch/dead-letters/replay", {})),
            ("nobody cashier warehouse", self.ask("/v1/analytics/dashboard")),
            ("nobody cashier warehouse", self.ask("/v1/analytics/sales")),
            ("nobody warehouse", self.ask("/v1/orders")),
            ("nobody warehouse", self.ask(f"/v1/orders/{self.final}")),
            ("nobody warehouse", self.ask("/v1/sales")),
            ("nobody analyst cashier", self.keyed("PUT", f"/v1/orders/{self.second_order}", {"status": "paid"})),
            ("warehouse", self.keyed("PUT", f"/v1/orders/{self.second_order}", {"status": "cancelled"})),
            ("nobody analyst cashier warehouse manager", self.keyed("POST", "/v1/sales/record", recorded)),
            ("nobody", self.ask("/v1/inventory")),
        ]
        for roles, request in forbidden:
            for name in roles.split():
                yield Case(
                    f"{name}: {request.method} {request.path}", replace(request, token=name), 403, role
                )
        there = {"location_id": self.second_store}
        elsewhere = [
            (self.command("create_cart", {}, store_id=self.second_store), 403, out),
            (self.keyed("POST", "/v1/orders", self.order(store_id=self.second_store)), 403, out),
            (self.keyed("POST", "/v1/inventory/update", {**update, **there}), 403, out),
            (
                self.keyed(
                    "POST",
                    "/v1/inventory/reserve",
                    {"lines": [{**self.stock_line(1), **there}], "ttl_seconds": 9},
                ),
                403,
                out,
            ),
            (self.ask(f"/v1/inventory/{self.second_store}/{self.sku}"), (403, 404), (out, "stock_not_found")),
            (
                self.ask(f"/v1/locations/{self.second_store}/inventory"),
                (403, 404),
                (out, "location_not_found"),
            ),
            (self.ask(f"/v1/analytics/dashboard?store_id={self.second_store}"), 403, out),
            (self.ask(f"/v1/orders?store_id={self.second_store}"), 403, out),
            (self.ask(f"/v1/inventory/movements?location_id={self.second_store}&sku={self.sku}"), 403, out),
            (self.ask(f"/v1/inventory/exceptions?location_id={self.second_store}"), 403, out),
        ]
        for request, status, code in elsewhere:
            yield Case(
                f"another store: {request.method} {request.path}",
                replace(request, token="manager"),
                status,
                code,
            )
        till = self.command("add_line_item", self.line(), "till", register_id="r-2")
        yield Case("another register", till, 403, "register_out_of_reach")
        priced = self.line(unit_price_override="0.01")
        approved = {**priced, "approval_id": f"approval-{self.run}"}
        needed, unknown = "approval_required", "approval_not_found"
        yield Case("a price by hand", self.command("add_line_item", priced, "cashier"), 403, needed)
        yield Case("an invented approval", self.command("add_line_item", approved, "cashier"), 403, unknown)
        blind = self.command("start_return", {"reason": "torn"}, "cashier")
        yield Case("a blind return", blind, 403, needed)
        cheap = self.order(lines=[{"sku": self.sku, "quantity": 1, "unit_price": "0.01"}])
        yield Case(
            "an order with a price by hand", self.keyed("POST", "/v1/orders", cheap, "cashier"), 403, needed
        )

    def another_tenant(self) -> Iterator[Case]:
        """Whatever belongs to this tenant is not there for the other: 404, as for what never was."""
        listed = [
            (self.command("add_line_item", self.line()), "cart_not_found"),
            (self.command("void_cart", {"cart_id": self.open}), "cart_not_found"),
            (self.command("finalize_order", {"cart_id": self.paid}), "cart_not_found"),
            (self.command("create_cart", {}), "store_not_found"),
            (
                self.command(
                    "start_return",
                    {"original_order_id": self.final, "reason": "torn"},
                    store_id=f"x-{self.run}",
                ),
                "order_not_found",
            ),
            (
                self.command("finalize_return", {"return_id": self.unrefunded}),
                ("cart_not_found", "return_not_found"),
            ),
            (self.keyed("POST", "/v1/orders", self.order()), "store_not_found"),
            (self.keyed("POST", "/v1/inventory/update", self.stock_update()), "location_not_found"),
            (
                self.keyed(
                    "POST", "/v1/inventory/reserve", {"lines": [self.stock_line(1)], "ttl_seconds": 9}
                ),
                "location_not_found",
            ),
            *(
                (
                    self.keyed("POST", f"/v1/inventory/reservations/{self.reservation}/{action}", body),
                    "reservation_not_found",
                )
                for action, body in (("commit", {}), ("release", {}), ("extend", {"ttl_seconds": 9}))
            ),
            (self.ask(f"/v1/inventory/reservations/{self.reservation}"), "reservation_not_found"),
            (self.ask(f"/v1/orders/{self.final}"), "order_not_found"),
            (self.ask(f"/v1/orders?store_id={self.store}"), "store_not_found"),
            (self.ask(f"/v1/products/{self.sku}"), "sku_not_found"),
            (self.ask(f"/v1/locations/{self.store}"), "location_not_found"),
            (self.ask(f"/v1/locations/{self.store}/inventory"), "location_not_found"),
            (self.ask(f"/v1/inventory/{self.store}/{self.sku}"), "stock_not_found"),
            (
                self.ask(f"/v1/inventory/movements?location_id={self.store}&sku={self.sku}"),
                ("stock_not_found", "location_not_found"),
            ),
            (
                self.ask(f"/v1/inventory/conservation?location_id={self.store}&sku={self.sku}"),
                ("stock_not_found", "location_not_found"),
            ),
            (self.ask(f"/v1/dispatch/deliveries/{self.final}.1"), "delivery_not_found"),
            (self.ask(f"/v1/analytics/dashboard?store_id={self.store}"), "store_not_found"),
            (self.ask(f"/v1/analytics/sales?store_id={self.store}"), "store_not_found"),
        ]
        for request, code in listed:
            shown = request.path
            if shown == "/v1/pos/command":
                shown = request.body["action"]
            yield Case(f"{request.method} {shown}", replace(request, token="stranger"), 404, code)
