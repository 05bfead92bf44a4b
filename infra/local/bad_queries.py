"""What can be wrong with requests on stock, lists, days, paths, sizes and feeds."""

import base64
import gzip
import json
from collections.abc import Iterator
from urllib.parse import quote

from hostile_client import LINES_MAX, Case, HostileClient, Request, expect


class BadQueries(HostileClient):
    """Tables of requests beside the till's that are refused."""

    def stock_requests(self) -> Iterator[Case]:
        malformed, quantity, nothing = "field_invalid", "quantity_invalid", f"nothing-{self.run}"
        updates = [
            ("unknown location", {"location_id": nothing}, 404, "location_not_found"),
            ("location with a separator", {"location_id": "a#b"}, 422, "location_id_malformed"),
            ("unknown SKU", {"sku": nothing}, 422, "sku_unknown"),
            ("SKU with a separator", {"sku": f"{self.sku}#x"}, 422, "sku_unknown"),
            ("empty SKU", {"sku": ""}, 422, "sku_malformed"),
            ("unknown kind", {"kind": "add"}, 422, malformed),
            ("delta of 0", {"quantity": 0}, 422, quantity),
            ("a fraction of a piece", {"quantity": 1.5}, 422, malformed),
            ("10^12", {"quantity": 10**12}, 422, quantity),
            ("a count below 0", {"kind": "set", "quantity": -1}, 422, quantity),
            ("text", {"quantity": "5"}, 422, quantity),
            ("more than there is", {"quantity": -100_000}, 409, "insufficient_stock"),
            ("no reason", {"reason": ""}, 422, "reason_invalid"),
            ("blank reason", {"reason": "  "}, 422, "reason_invalid"),
            ("reason too long", {"reason": "x" * 201}, 422, "reason_invalid"),
            (
                "reason with a control character",
                {"reason": "a\u0000b"},
                422,
                ("reason_invalid", "text_malformed"),
            ),
            ("another version", {"expected_version": 99}, 409, "version_conflict"),
            ("a version below 0", {"expected_version": -1}, 422, "expected_version_invalid"),
            ("version as text", {"expected_version": "1"}, 422, malformed),
            ("an unknown member", {"on_hand": 1}, 422, malformed),
        ]
        for name, changed, status, code in updates:
            request = self.keyed("POST", "/v1/inventory/update", self.stock_update(**changed))
            yield Case(f"update: {name}", request, status, code)
        for tag, status, code in [('"99"', 412, "version_mismatch"), ("99", 400, "if_match_malformed")]:
            request = self.keyed("POST", "/v1/inventory/update", self.stock_update(), **{"If-Match": tag})
            yield Case(f"update: If-Match {tag}", request, status, code)
        line = self.stock_line(1)
        reserves = [
            ("no lines", {"lines": []}, 422, "lines_out_of_range"),
            ("1,001 lines", {"lines": [line] * 1_001}, 422, "lines_out_of_range"),
            (
                "49 SKUs that are not there",
                {"lines": [{**line, "sku": f"x{n}"} for n in range(49)]},
                422,
                "sku_unknown",
            ),
            ("unknown location", {"lines": [{**line, "location_id": nothing}]}, 404, "location_not_found"),
            ("unknown SKU", {"lines": [{**line, "sku": nothing}]}, 422, "sku_unknown"),
            ("0 seconds", {"ttl_seconds": 0}, 422, "ttl_out_of_range"),
            ("-1 seconds", {"ttl_seconds": -1}, 422, "ttl_out_of_range"),
            ("86,401 seconds", {"ttl_seconds": 86_401}, 422, "ttl_out_of_range"),
            ("2^63 seconds", {"ttl_seconds": 2**63}, 422, malformed),
            ("half a second", {"ttl_seconds": 0.5}, 422, malformed),
            ("an id with a separator", {"reservation_id": "a#b"}, 422, "id_malformed"),
            ("an id that is taken", {"reservation_id": self.reservation}, 409, "reservation_exists"),
            ("more than there is", {"lines": [self.stock_line(100_000)]}, 409, "insufficient_stock"),
            (
                "one line short of two",
                {"lines": [line, {**line, "sku": self.rice, "quantity": "999"}]},
                409,
                "insufficient_stock",
            ),
            (
                "two lines that together are too many",
                {"lines": [self.stock_line(600)] * 2},
                409,
                "insufficient_stock",
            ),
        ]
        for name, changed, status, code in reserves:
            body = {"lines": [line], "ttl_seconds": 9, **changed}
            yield Case(f"reserve: {name}", self.keyed("POST", "/v1/inventory/reserve", body), status, code)
        yield from self.bad_sourcing(nothing, malformed)
        yield from self.bad_transfers(nothing, malformed)
        yield from self.bad_purchases(nothing, malformed)
        at = f"/v1/inventory/reservations/{self.reservation}"
        yield Case(
            "commit with fields", self.keyed("POST", f"{at}/commit", {"order_id": "x"}), 422, malformed
        )
        for name, lines, status, code in [
            ("no lines", [], 422, "lines_out_of_range"),
            ("1,001 lines", [line] * 1_001, 422, "lines_out_of_range"),
            ("from nowhere", [{"sku": self.sku, "quantity": 1}], 422, "location_required"),
            ("none of it", [{**line, "quantity": 0}], 422, quantity),
            ("less than none", [{**line, "quantity": -1}], 422, quantity),
            ("a huge quantity", [{**line, "quantity": 2**62}], 422, quantity),
            ("more than is held", [self.stock_line(4)], 409, "commit_above_held"),
            ("more than is held, in parts", [self.stock_line(2)] * 2, 409, "commit_above_held"),
            ("another SKU", [{**line, "sku": nothing}], 422, "line_not_reserved"),
            ("another location", [{**line, "location_id": nothing}], 422, "line_not_reserved"),
            ("an unknown member", [{**line, "shelf": "x"}], 422, malformed),
            ("a lot of goods without lots", [{**line, "lot": "x"}], 422, "sku_without_lots"),
            ("lines that are none", {"sku": self.sku}, 422, malformed),
        ]:
            yield Case(
                f"commit in part: {name}", self.keyed("POST", f"{at}/commit", {"lines": lines}), status, code
            )
        yield Case("release with fields", self.keyed("POST", f"{at}/release", {"x": 1}), 422, malformed)
        yield Case("extend by nothing", self.keyed("POST", f"{at}/extend", {}), 422, malformed)
        yield Case(
            "extend too long",
            self.keyed("POST", f"{at}/extend", {"ttl_seconds": 10**6}),
            422,
            "ttl_out_of_range",
        )
        wrong_lines = self.order(reservation_id=self.reservation)
        yield Case(
            "an order for other than is held",
            self.keyed("POST", "/v1/orders", wrong_lines),
            (409, 422),
            ("reservation_mismatch", "reservation_lines_differ"),
        )
        products = [
            ("without a name", {"unit_price": "1", "currency": "GBP"}, malformed),
            ("a price of 5 decimals", {"name": "n", "unit_price": "1.00001", "currency": "GBP"}, malformed),
            (
                "an unknown unit",
                {"name": "n", "unit_price": "1", "currency": "GBP", "unit": "stone"},
                malformed,
            ),
            ("another SKU", {"sku": "x", "name": "n", "unit_price": "1", "currency": "GBP"}, malformed),
            (
                "a wrong barcode",
                {"name": "n", "unit_price": "1", "currency": "GBP", "barcodes": ["1"]},
                malformed,
            ),
            ("an empty name", {"name": "", "unit_price": "1", "currency": "GBP"}, malformed),
        ]
        for name, body, code in products:
            yield Case(f"product: {name}", self.keyed("PUT", f"/v1/products/n-{self.run}", body), 422, code)
        product = {"name": "n", "unit_price": "1", "currency": "GBP"}
        stale = self.keyed("PUT", f"/v1/products/{self.sku}", product, **{"If-Match": '"999"'})
        yield Case(
            "product: another version",
            stale,
            412,
            ("version_mismatch", "precondition_failed", "etag_mismatch"),
        )
        garbled = self.keyed("PUT", f"/v1/products/{self.sku}", product, **{"If-Match": "garbage"})
        yield Case(
            "product: If-Match that is none",
            garbled,
            (400, 412, 422),
            (
                "if_match_malformed",
                "version_mismatch",
                "precondition_failed",
                "etag_mismatch",
            ),
        )
        place = {"id": f"n-{self.run}", "kind": "store", "name": "n", "time_zone": "UTC", "currency": "GBP"}
        for name, changed, status, code in [
            ("an unknown zone", {"time_zone": "Mars/Olympus"}, 422, malformed),
            ("an unknown kind", {"kind": "kiosk"}, 422, malformed),
            ("an id with a separator", {"id": "a#b"}, 422, malformed),
            ("a time that is none", {"business_day_start": "25:00"}, 422, malformed),
            ("beyond a pole", {"latitude": 90_000_001, "longitude": 0}, 422, malformed),
            ("half a point", {"latitude": 53_800_755}, 422, malformed),
            ("coordinates in degrees", {"latitude": 53.8, "longitude": -1.5}, 422, malformed),
            ("a policy that is none", {"stock": {"unsynced": "perhaps"}}, 422, malformed),
            ("a register with an epoch", {"registers": ["r~1"]}, 422, malformed),
            ("a register of web orders", {"registers": ["virtual-1"]}, 422, malformed),
            ("one that is there", {"id": self.store}, 409, "location_exists"),
        ]:
            yield Case(
                f"location: {name}", self.keyed("POST", "/v1/locations", {**place, **changed}), status, code
            )

    def bad_sourcing(self, nothing, malformed):
        """Reservations that leave open from where, and say wrongly how it is to be chosen."""
        line = {"sku": self.sku, "quantity": 1}
        here = {"policy": "priority", "locations": [self.store]}
        nearest = {"policy": "nearest", "locations": [self.store]}
        for name, sourcing, status, code in [
            ("nothing said", None, 422, "location_required"),
            ("an unknown policy", {**here, "policy": "cheapest"}, 422, malformed),
            ("an unknown member", {**here, "split": True}, 422, malformed),
            ("no list", {"policy": "priority"}, 422, "locations_required"),
            ("an empty list", {**here, "locations": []}, 422, "locations_out_of_range"),
            (
                "51 locations",
                {**here, "locations": [f"n{n}" for n in range(51)]},
                422,
                "locations_out_of_range",
            ),
            ("one location twice", {**here, "locations": [self.store] * 2}, 422, "location_repeated"),
            ("an id with a separator", {**here, "locations": ["a#b"]}, 422, "location_id_malformed"),
            ("unknown location", {**here, "locations": [nothing]}, 404, "location_not_found"),
            ("a list and a point", {**here, "near": {"location_id": self.store}}, 422, "near_not_allowed"),
            ("nearest to nothing", nearest, 422, "near_required"),
            ("nearest to half a point", {**nearest, "near": {"latitude": 0}}, 422, "near_malformed"),
            (
                "nearest to beyond the date line",
                {**nearest, "near": {"latitude": 0, "longitude": 180_000_001}},
                422,
                "longitude_out_of_range",
            ),
            (
                "nearest to a point, from a place that nobody knows",
                {**nearest, "near": {"latitude": 0, "longitude": 0}},
                422,
                "location_without_coordinates",
            ),
        ]:
            body = {"lines": [line], "ttl_seconds": 9} | ({"sourcing": sourcing} if sourcing else {})
            yield Case(f"sourcing: {name}", self.keyed("POST", "/v1/inventory/reserve", body), status, code)
        body = {"lines": [self.stock_line(1)], "ttl_seconds": 9, "sourcing": here}
        yield Case(
            "sourcing: lines that say from where",
            self.keyed("POST", "/v1/inventory/reserve", body),
            422,
            "location_not_allowed",
        )
        body = {"lines": [{**line, "quantity": 100_000}], "ttl_seconds": 9, "sourcing": here}
        yield Case(
            "sourcing: more than there is",
            self.keyed("POST", "/v1/inventory/reserve", body),
            409,
            "insufficient_stock",
        )

    def bad_transfers(self, nothing, malformed):
        """Transfers that go nowhere; the stock is looked at with that of all other cases."""
        line = {"sku": self.sku, "quantity": 1}
        ways = {"from_location_id": self.store, "to_location_id": self.second_store}
        shipments = [
            ("to itself", {"to_location_id": self.store}, 422, "transfer_to_itself"),
            ("to nowhere", {"to_location_id": nothing}, 404, "location_not_found"),
            ("from nowhere", {"from_location_id": nothing}, 404, "location_not_found"),
            ("no lines", {"lines": []}, 422, "lines_out_of_range"),
            ("1,001 lines", {"lines": [line] * 1_001}, 422, "lines_out_of_range"),
            ("none of it", {"lines": [{**line, "quantity": 0}]}, 422, "quantity_invalid"),
            ("less than none", {"lines": [{**line, "quantity": -1}]}, 422, "quantity_invalid"),
            ("a huge quantity", {"lines": [{**line, "quantity": 2**62}]}, 422, "quantity_invalid"),
            ("unknown SKU", {"lines": [{**line, "sku": nothing}]}, 422, "sku_unknown"),
            ("more than there is", {"lines": [{**line, "quantity": 100_000}]}, 409, "insufficient_stock"),
            ("a card number", {"note": "4111 1111 1111 1111"}, 422, "card_number_refused"),
            ("an id with a separator", {"transfer_id": "a#b"}, 422, "id_malformed"),
            ("an unknown member", {"in_transit": 1}, 422, malformed),
            ("of a lot", {"lines": [{**line, "lot": "L-1"}]}, 422, malformed),
        ]
        for name, changed, status, code in shipments:
            body = {**ways, "lines": [line], **changed}
            request = self.keyed("POST", "/v1/stock-movements/transfer", body)
            yield Case(f"transfer: {name}", request, status, code)
        at = f"/v1/stock-movements/transfer/{nothing}"
        for name, body in [("receive", {}), ("reject", {"to": "source", "reason": "x"}), ("cancel", {"reason": "x"})]:
            yield Case(f"{name} no transfer", self.keyed("POST", f"{at}/{name}", body), 404, "transfer_not_found")
        for name, body in [("reject", {"to": "sea", "reason": "x"}), ("cancel", {})]:
            yield Case(f"{name} malformed", self.keyed("POST", f"{at}/{name}", body), 422, malformed)

    def bad_purchases(self, nothing, malformed):
        """Orders from nobody, suppliers that are none, and deliveries of nothing."""
        line = {"sku": self.sku, "quantity": 1}
        order = {"supplier_id": nothing, "location_id": self.store, "lines": [line]}
        for name, changed, status, code in [
            ("from nobody", {}, 422, "supplier_unknown"),
            ("no lines", {"lines": []}, 422, "lines_out_of_range"),
            ("1,001 lines", {"lines": [line] * 1_001}, 422, "lines_out_of_range"),
            ("an id with a separator", {"purchase_order_id": "a#b"}, 422, "id_malformed"),
            ("in the year 1", {"expected_at": "0001-01-01T00:00:00Z"}, 422, "expected_at_out_of_range"),
            ("at no time", {"expected_at": "soon"}, 422, malformed),
            ("a cost that is none", {"lines": [{**line, "unit_cost": "-1"}]}, 422, malformed),
            ("an unknown member", {"on_order": 1}, 422, malformed),
        ]:
            request = self.keyed("POST", "/v1/purchase-orders", {**order, **changed})
            yield Case(f"purchase order: {name}", request, status, code)
        at = f"/v1/purchase-orders/{nothing}"
        for name, body in [("receive", {}), ("close", {"reason": "x"}), ("cancel", {"reason": "x"})]:
            yield Case(f"{name} no order", self.keyed("POST", f"{at}/{name}", body), 404, "purchase_order_not_found")
        yield Case("orders of nothing", self.ask("/v1/purchase-orders"), 422, "location_or_supplier_missing")
        supplier = {"id": f"z-{self.run}", "name": "Z", "lead_time_days": 1}
        for name, changed in [
            ("an id with a separator", {"id": "a#b"}),
            ("three years of waiting", {"lead_time_days": 1_095}),
            ("twice of everything", {"over_delivery_percent": 101}),
            ("a SKU twice", {"supplies": [{"sku": self.sku}] * 2}),
            ("costs of no currency", {"supplies": [{"sku": self.sku, "unit_cost": "1"}]}),
            ("an unknown member", {"rating": 5}),
        ]:
            yield Case(
                f"supplier: {name}", self.keyed("POST", "/v1/suppliers", {**supplier, **changed}), 422, malformed
            )
        delivery = {"location_id": self.store, **line}
        for name, changed, status, code in [
            ("none of it", {"quantity": 0}, 422, "quantity_invalid"),
            ("less than none", {"quantity": -1}, 422, "quantity_invalid"),
            ("from nobody", {"supplier_id": nothing}, 422, "supplier_unknown"),
            ("to nowhere", {"location_id": nothing}, 404, "location_not_found"),
            ("unknown SKU", {"sku": nothing}, 422, "sku_unknown"),
            ("a lot of what has none", {"lot": "L-1"}, 422, "sku_without_lots"),
            ("a last day of no lot", {"expires_on": "2026-01-31"}, 422, "expires_on_without_lot"),
            ("a last day that is none", {"lot": "L-1", "expires_on": "2026-02-30"}, 422, malformed),
        ]:
            request = self.keyed("POST", "/v1/inventory/restock", {**delivery, **changed})
            yield Case(f"restock: {name}", request, status, code)

    def lists(self) -> Iterator[Case]:
        paths = [
            f"/v1/orders?store_id={self.store}",
            "/v1/products?",
            "/v1/locations?",
            "/v1/retail-locations?",
            f"/v1/inventory?location_id={self.store}",
            f"/v1/inventory/{self.sku}?",
            f"/v1/locations/{self.store}/inventory?",
            f"/v1/inventory/movements?location_id={self.store}&sku={self.sku}",
            "/v1/dispatch/deliveries?",
        ]
        ends = {}
        for path in paths:
            cursor = self.api.get(f"{path}&limit=1").get("next_cursor")
            expect(cursor is not None, f"{path} has no second page to go to")
            ends[path] = cursor
        for path in [
            *paths,
            "/v1/dispatch/dead-letters?",
            "/v1/warehouses?",
            f"/v1/analytics/products?store_id={self.store}",
        ]:
            for limit in (
                "0",
                "201",
                "1000000000",
                "-1",
                "99999999999999999999",
                "abc",
                "1e9",
                "1.5",
                "",
                "%00",
            ):
                codes = ("limit_out_of_range", "query_invalid")
                yield Case(f"{path}: limit {limit!r}", self.ask(f"{path}&limit={limit}"), 422, codes, "limit")
            for cursor in ("x", "", "%00", "AAAA", "A" * 10_000, "é"):
                yield Case(
                    f"{path}: cursor {cursor[:10]!r}",
                    self.ask(f"{path}&cursor={quote(cursor, safe='%')}"),
                    400,
                    "cursor_malformed",
                )
            yield Case(
                f"{path}: an unknown parameter",
                self.ask(f"{path}&colour=red"),
                422,
                "query_invalid",
                "colour",
            )
            yield Case(
                f"{path}: a parameter twice", self.ask(f"{path}&limit=1&limit=2"), 422, "query_invalid"
            )
        wrong = "cursor_malformed"
        filters = {
            "/v1/products?": "category=x",
            "/v1/locations?": None,
            "/v1/dispatch/deliveries?": "status=delivered",
            f"/v1/orders?store_id={self.store}": "channel=web",
            f"/v1/inventory?location_id={self.store}": f"sku={self.sku}",
        }
        for number, (path, cursor) in enumerate(ends.items()):
            raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            raw[-1] ^= 1
            tampered = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
            yield Case(f"{path}: tampered", self.ask(f"{path}&cursor={tampered}"), 400, wrong)
            yield Case(f"{path}: cut", self.ask(f"{path}&cursor={cursor[:-4]}"), 400, wrong)
            another = list(ends.values())[(number + 1) % len(ends)]
            yield Case(f"{path}: of another list", self.ask(f"{path}&cursor={another}"), 400, wrong)
            if filters.get(path):
                yield Case(
                    f"{path}: of another filter",
                    self.ask(f"{path}&{filters[path]}&cursor={cursor}"),
                    400,
                    wrong,
                )
        for path in ("/v1/products?", "/v1/locations?", "/v1/dispatch/deliveries?"):
            request = self.ask(f"{path}&cursor={ends[path]}", "stranger")
            yield Case(f"{path}: of another tenant", request, 400, wrong)

    def days(self) -> Iterator[Case]:
        of = f"store_id={self.store}"
        malformed, invalid = "time_malformed", "query_invalid"
        for path in ("/v1/analytics/sales", "/v1/analytics/products", "/v1/analytics/categories"):
            for name, query, code in [
                ("a day that is none", "from=2010-02-30&to=2010-03-01", malformed),
                ("no leap year", "from=2011-02-29&to=2011-03-01", malformed),
                ("month 13", "from=2010-13-01&to=2010-13-02", malformed),
                ("words", "from=yesterday&to=today", malformed),
                ("an hour that is none", "from=2010-12-01T25:00:00Z&to=2010-12-02T00:00:00Z", malformed),
                ("an instant without offset", "from=2010-12-01T00:00:00&to=2010-12-02T00:00:00", malformed),
                ("empty", "from=&to=", malformed),
                ("year 10000", "from=10000-01-01&to=10000-01-02", malformed),
                ("the last year", "from=9999-12-31&to=9999-12-31", "time_out_of_range"),
                ("before 1970", "from=1969-12-31&to=1970-01-01", "time_out_of_range"),
                ("a zero byte", "from=2010-12-01%00&to=2010-12-02", malformed),
                ("backwards", "from=2010-12-02&to=2010-12-01", "range_reversed"),
                ("no end", "from=2010-12-01", "range_incomplete"),
                ("no beginning", "to=2010-12-01", "range_incomplete"),
                ("a day and an instant", "from=2010-12-01&to=2010-12-02T00:00:00Z", "range_mixed"),
                ("too long", "from=2000-01-01&to=2010-12-31", "range_too_long"),
                ("all of time", "from=-009999-01-01&to=9999-12-31", ("range_too_long", malformed)),
            ]:
                yield Case(f"{path}: {name}", self.ask(f"{path}?{of}&{query}"), 422, code)
        sales, day = f"/v1/analytics/sales?{of}", "from=2010-12-01&to=2010-12-01"
        for name, query, code in [
            ("granularity of a minute", "granularity=minute", invalid),
            ("empty granularity", "granularity=", invalid),
            ("granularity in capitals", "granularity=DAY", invalid),
            ("group by customer", "group_by=customer", invalid),
            ("group by two", "group_by=store,register", invalid),
            ("compare with tomorrow", "compare=tomorrow", invalid),
            ("by hour too long", "from=2010-10-01&to=2010-12-31&granularity=hour", "range_too_long"),
        ]:
            query = query if "from=" in query else f"{day}&{query}"
            yield Case(f"sales: {name}", self.ask(f"{sales}&{query}"), 422, code)
        yield Case(
            "before the calendar",
            self.ask(f"{sales}&from=-009999-01-01&to=-009999-01-01&compare=previous_period"),
            422,
            ("time_out_of_range", malformed),
        )
        for name, query, code in [
            ("order by colour", "order_by=colour", invalid),
            ("direction sideways", "direction=sideways", invalid),
        ]:
            yield Case(f"products: {name}", self.ask(f"/v1/analytics/products?{of}&{day}&{query}"), 422, code)
        for date in ("2010-02-30", "today", "2010-12-01T00:00:00Z", "", "20101201", "2010-12-1"):
            yield Case(
                f"dashboard: {date!r}",
                self.ask(f"/v1/analytics/dashboard?{of}&date={date}"),
                422,
                malformed,
                "date",
            )
        for name, query, code in [
            ("from that is none", "from=2010-02-30", malformed),
            ("to the last day there is", "to=9999-12-31", "time_out_of_range"),
            ("to that is none", "to=x", malformed),
            ("backwards", "from=2010-12-02&to=2010-12-01", "range_reversed"),
            ("status with a space", "status=a%20b", "id_malformed"),
            ("channel with a separator", "channel=a%23b", "id_malformed"),
        ]:
            yield Case(f"orders: {name}", self.ask(f"/v1/orders?{of}&{query}"), 422, code)
        for path, query, name in [
            ("/v1/inventory", "below_reorder_point=maybe", "below_reorder_point"),
            ("/v1/dispatch/deliveries", "status=lost", "status"),
            ("/v1/inventory/exceptions", f"location_id={self.store}&status=lost", "status"),
            ("/v1/inventory/exceptions", "status=open", "location_id"),
        ]:
            yield Case(f"{path}?{query}", self.ask(f"{path}?{query}"), 422, invalid, name)
        yield Case(
            "movements of no SKU",
            self.ask(f"/v1/inventory/movements?location_id={self.store}"),
            422,
            invalid,
            "sku",
        )
        yield from self.exceptions()
        yield Case(
            "proof of no location",
            self.ask(f"/v1/inventory/conservation?sku={self.sku}"),
            422,
            invalid,
            "location_id",
        )

    def exceptions(self) -> Iterator[Case]:
        path, resolve = "/v1/inventory/exceptions", f"/v1/inventory/exceptions/x-{self.run}/resolve"
        at = f"{path}?location_id={self.store}"
        yield Case("exceptions of a/b", self.ask(f"{path}?location_id=a%2Fb"), 422, "location_id_malformed")
        for limit in ("0", "201"):
            yield Case(f"exceptions: {limit}", self.ask(f"{at}&limit={limit}"), 422, "limit_out_of_range")
        yield Case("exceptions: a cursor", self.ask(f"{at}&cursor=AAAA"), 400, "cursor_malformed")
        for name, body, code in [
            ("no reason", {}, "field_invalid"),
            ("an empty reason", {"reason": " "}, "reason_invalid"),
            ("201 characters", {"reason": "x" * 201}, "reason_invalid"),
            ("a reason of one number", {"reason": 7}, "field_invalid"),
            ("a card number", {"reason": "4111111111111111"}, "card_number_refused"),
            ("a card number beside", {"reason": "x", "note": "4111111111111111"}, "card_number_refused"),
            ("a long note", {"reason": "x", "note": "x" * 501}, "text_too_long"),
            ("a control character", {"reason": "a\u0007b"}, "text_malformed"),
            ("more", {"reason": "x", "quantity": 1}, "field_invalid"),
        ]:
            yield Case(f"resolve: {name}", self.keyed("POST", resolve, body), 422, code)
        request = self.keyed("POST", resolve, {"reason": "found"})
        yield Case("resolve what is not there", request, 404, "exception_not_found")

    def paths(self) -> Iterator[Case]:
        odd = [
            ("dots", "%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
            ("a slash", "a%2Fb"),
            ("a separator", f"{self.final}%23cart"),
            ("a zero byte", "a%00b"),
            ("a line break", "a%0d%0aX-Injected:%201"),
            ("not UTF-8", "%ff%fe"),
            ("10 KB", "x" * 10_000),
            ("65 bytes", "x" * 65),
            ("a broken escape", "%zz"),
            ("a quote", "%22%27%3b--"),
        ]
        clear = (400, 404, 414, 422)
        for prefix in (
            "/v1/orders/",
            "/v1/products/",
            "/v1/locations/",
            "/v1/inventory/reservations/",
            f"/v1/inventory/{self.store}/",
            "/v1/dispatch/deliveries/",
            "/v1/dispatch/dead-letters/",
        ):
            for name, id in odd:
                codes = (
                    "id_malformed",
                    "sku_malformed",
                    "path_malformed",
                    "route_unknown",
                    "order_not_found",
                    "sku_not_found",
                    "location_not_found",
                    "reservation_not_found",
                    "stock_not_found",
                    "delivery_not_found",
                    "dead_letter_not_found",
                )
                yield Case(f"{prefix}{name}", self.ask(prefix + id), clear, codes)
        for name, id in odd:
            request = self.keyed(
                "PUT", f"/v1/products/{id}", {"name": "n", "unit_price": "x", "currency": "GBP"}
            )
            codes = ("field_invalid", "sku_malformed", "path_malformed", "route_unknown")
            yield Case(f"PUT product {name}", request, (400, 404, 414, 422), codes)
            request = self.keyed("POST", f"/v1/inventory/reservations/{id}/release", {})
            codes = ("id_malformed", "path_malformed", "route_unknown", "reservation_not_found")
            yield Case(f"release {name}", request, (400, 404, 414, 422), codes)
            request = self.keyed("POST", f"/v1/inventory/exceptions/{id}/resolve", {"reason": "found"})
            codes = ("path_malformed", "route_unknown", "exception_not_found")
            yield Case(f"resolve {name}", request, (400, 404, 414, 422), codes)
        unknown = "route_unknown"
        for path in (
            "/v1/nothing",
            "/v2/orders",
            "/v1/orders/x/y/z",
            "/v1/../admin",
            "/",
            "/v1//orders",
            "/v1/Orders",
            "/admin",
        ):
            yield Case(f"GET {path}", self.ask(path), 404, unknown)
        for method, path in [
            ("GET", "/v1/pos/command"),
            ("PUT", "/v1/pos/command"),
            ("DELETE", "/v1/pos/command"),
            ("DELETE", "/v1/orders"),
            ("PATCH", "/v1/orders"),
            ("DELETE", f"/v1/orders/{self.final}"),
            ("POST", "/v1/inventory"),
            ("GET", "/v1/inventory/reserve"),
            ("DELETE", f"/v1/products/{self.sku}"),
            ("POST", f"/v1/products/{self.sku}"),
            ("PUT", "/v1/locations"),
            ("POST", "/v1/analytics/sales"),
            ("POST", "/v1/health"),
            ("DELETE", f"/v1/inventory/reservations/{self.reservation}"),
            ("BREW", "/v1/orders"),
        ]:
            request = self.keyed(method, path, None if method in ("GET", "DELETE") else {})
            # GET /v1/inventory/reserve reads the stock of a SKU that happens to be called so.
            codes = (unknown, "method_not_allowed", "sku_not_found", "stock_not_found", "product_not_found")
            yield Case(f"{method} {path}", request, (404, 405), codes)
        yield Case("HEAD", Request("HEAD", "/v1/orders"), (200, 404, 405), None)
        # Without a CORS configuration the gateway answers preflights itself.
        yield Case("OPTIONS", Request("OPTIONS", "/v1/orders"), (204, 403, 404, 405), None)

    def sizes(self) -> Iterator[Case]:
        megabyte, large = 1024 * 1024, "body_too_large"
        lines = [{"sku": self.sku, "quantity": 1}] * (LINES_MAX + 1)
        order = self.keyed("POST", "/v1/orders", self.order(lines=lines))
        yield Case(f"an order of {LINES_MAX + 1} lines", order, 422, "too_many_lines", "lines")
        for path in ("/v1/pos/command", "/v1/orders", "/v1/sync/catalog"):
            above = self.keyed("POST", path, b" " * (4 * megabyte + 1))
            yield Case(f"{path}: 4 MB and a byte", above, 413, large)
            # Above the gateway's own limit: its answer on AWS, ours here.
            yield Case(
                f"{path}: 10.5 MB",
                self.keyed("POST", path, b" " * (10 * megabyte + megabyte // 2)),
                413,
                None,
            )
        long = self.command("add_line_item", self.line(notes="x" * 3 * megabyte))
        yield Case("notes of 3 MB", long, 422, "text_too_long")

    def feeds(self) -> Iterator[Case]:
        line = json.dumps({"id": f"z-{self.run}", "version": 1, "op": "upsert", "data": {}})
        packed = gzip.compress(line.encode())
        yield Case("unknown feed", self.keyed("POST", "/v1/sync/weather", line), 404, "unknown_entity")
        for start in ("0", "-1", "x", "1.5", ""):
            codes = ("from_out_of_range", "query_invalid")
            yield Case(
                f"from {start!r}",
                self.keyed("POST", f"/v1/sync/catalog?from={start}", line),
                422,
                codes,
                "from",
            )
        for path in ("/v1/sync/catalog", "/v1/pos/command", "/v1/orders"):
            request = self.keyed("POST", path, packed, **{"Content-Encoding": "gzip"})
            yield Case(f"{path}: gzip", request, 415, "content_encoding_unsupported")
