"""What a client must not do with count sheets, and with the correction of differences."""

from collections.abc import Iterator

from hostile_client import Case, HostileClient

COUNTS = "/v1/inventory/counts"


class BadCounts(HostileClient):
    """Its table."""

    def counts(self) -> Iterator[Case]:
        yield from self.counts_opened()
        yield from self.counts_recorded()
        yield from self.counts_ended()
        yield from self.counts_out_of_reach()
        yield from self.corrections()

    def counts_opened(self) -> Iterator[Case]:
        invalid, selection = "field_invalid", "selection_invalid"
        good = {"location_id": self.second_store, "skus": [self.sku]}
        for name, changed, status, code in [
            ("an unknown location", {"location_id": f"nothing-{self.run}"}, 404, "location_not_found"),
            ("a location with a separator", {"location_id": "a#b"}, 422, "location_id_malformed"),
            ("no location", {"location_id": None}, 422, invalid),
            ("an unknown SKU", {"skus": [f"nothing-{self.run}"]}, 422, "sku_unknown"),
            ("an empty SKU", {"skus": [""]}, 422, "sku_malformed"),
            ("no SKUs", {"skus": []}, 422, "lines_out_of_range"),
            ("1,001 SKUs", {"skus": [f"x{n}" for n in range(1_001)]}, 422, "lines_out_of_range"),
            ("SKUs and a category", {"category": "toys"}, 422, selection),
            ("SKUs and a limit", {"limit": 10}, 422, "field_not_expected"),
            ("everything, 0 lines", {"skus": None, "all": True, "limit": 0}, 422, "limit_out_of_range"),
            ("everything, 1,001 lines", {"skus": None, "all": True, "limit": 1_001}, 422, "limit_out_of_range"),
            ("nothing that is named", {"skus": None}, 422, selection),
            ("an empty category", {"skus": None, "category": ""}, 422, "category_invalid"),
            ("an id with a separator", {"count_id": "a#b"}, 422, "id_malformed"),
            ("an id that is taken", {"count_id": self.open_count}, 409, "count_exists"),
            ("an id that was taken", {"count_id": self.closed_count}, 409, "count_exists"),
            ("an unknown member", {"counted": 1}, 422, invalid),
            ("a card number for an id", {"count_id": "4111111111111111"}, 422, "card_number_refused"),
        ]:
            body = {key: value for key, value in {**good, **changed}.items() if value is not None}
            yield Case(f"a count of {name}", self.keyed("POST", COUNTS, body), status, code)

    def counts_recorded(self) -> Iterator[Case]:
        invalid, quantity, range_ = "field_invalid", "quantity_invalid", "lines_out_of_range"
        path, line = f"{COUNTS}/{self.open_count}/lines", {"sku": self.sku, "counted": 3}
        for name, lines, code in [
            ("no lines", [], range_),
            ("1,001 lines", [line] * 1_001, range_),
            ("a SKU twice", [line, line], "sku_twice"),
            ("a SKU that is not on it", [{**line, "sku": self.rice}], "sku_not_in_count"),
            ("an empty SKU", [{**line, "sku": ""}], "sku_malformed"),
            ("less than nothing", [{**line, "counted": -1}], quantity),
            ("10^12", [{**line, "counted": 10**12}], quantity),
            ("text", [{**line, "counted": "many"}], quantity),
            ("a piece and a half", [{**line, "counted": "1.5"}], quantity),
            ("nothing said", [{"sku": self.sku}], invalid),
            ("a reason too long", [{**line, "reason": "x" * 201}], ("reason_invalid", "text_too_long")),
            ("a reason that is a card", [{**line, "reason": "4111111111111111"}], "card_number_refused"),
            ("a control character", [{**line, "reason": "a\u0007b"}], "text_malformed"),
            ("an unknown member", [{**line, "expected": 3}], invalid),
        ]:
            yield Case(f"counted: {name}", self.keyed("POST", path, {"lines": lines}), 422, code)
        for tag, status, code in [('"99"', 412, "version_mismatch"), ("99", 400, "if_match_malformed")]:
            request = self.keyed("POST", path, {"lines": [line]}, **{"If-Match": tag})
            yield Case(f"counted: If-Match {tag}", request, status, code)

    def counts_ended(self) -> Iterator[Case]:
        missing, line = f"{COUNTS}/nothing-{self.run}", {"lines": [{"sku": self.sku, "counted": 3}]}
        ended, cancel = f"{COUNTS}/{self.closed_count}", {"reason": "x"}
        for name, path, status, code in [
            ("that is not there", missing, 404, "count_not_found"),
            ("that has ended", ended, 409, "count_cancelled"),
        ]:
            yield Case(f"lines of one {name}", self.keyed("POST", f"{path}/lines", line), status, code)
            yield Case(f"close one {name}", self.keyed("POST", f"{path}/close"), status, code)
            yield Case(f"cancel one {name}", self.keyed("POST", f"{path}/cancel", cancel), status, code)
        yield Case("a count that is not there", self.ask(missing), 404, "count_not_found")
        path = f"{COUNTS}/{self.open_count}"
        yield Case("close with nothing counted", self.keyed("POST", f"{path}/close"), 409, "nothing_counted")
        yield Case("cancel, no reason", self.keyed("POST", f"{path}/cancel", {}), 422, "field_invalid")
        blank = self.keyed("POST", f"{path}/cancel", {"reason": " "})
        yield Case("cancel, a blank reason", blank, 422, "reason_invalid")
        more = self.keyed("POST", f"{path}/close", {"force": True})
        yield Case("close with an unknown member", more, 422, "field_invalid")

    def counts_out_of_reach(self) -> Iterator[Case]:
        path, line = f"{COUNTS}/{self.open_count}", {"lines": [{"sku": self.sku, "counted": 3}]}
        new = {"location_id": self.second_store, "skus": [self.sku]}
        # The manager's store is another.
        for who, status, code in [
            ("manager", 403, "store_out_of_reach"),
            ("analyst", 403, "role_required"),
            ("integration", 403, "role_required"),
            ("stranger", 404, "count_not_found"),
        ]:
            yield Case(f"lines by {who}", self.keyed("POST", f"{path}/lines", line, who), status, code)
            yield Case(f"close by {who}", self.keyed("POST", f"{path}/close", None, who), status, code)
            cancel = self.keyed("POST", f"{path}/cancel", {"reason": "x"}, who)
            yield Case(f"cancel by {who}", cancel, status, code)
            code = "location_not_found" if who == "stranger" else code
            yield Case(f"a count by {who}", self.keyed("POST", COUNTS, new, who), status, code)
        yield Case("a count, by a stranger", self.ask(path, "stranger"), 404, "count_not_found")
        yield Case("counts of no location", self.ask(COUNTS), 422, "query_invalid")
        of = f"{COUNTS}?location_id={self.second_store}"
        yield Case("counts: a cursor", self.ask(f"{of}&cursor=AAAA"), 400, "cursor_malformed")
        yield Case("counts: 201", self.ask(f"{of}&limit=201"), 422, "limit_out_of_range")

    def corrections(self) -> Iterator[Case]:
        path = f"/v1/inventory/exceptions/x-{self.run}/correct"
        good = {"reason": "found"}
        yield Case("correct what is not there", self.keyed("POST", path, good), 404, "exception_not_found")
        for name, body, code in [
            ("no reason", {}, "field_invalid"),
            ("a blank reason", {"reason": " "}, "reason_invalid"),
            ("a card number", {"reason": "4111111111111111"}, "card_number_refused"),
            ("an unknown member", {**good, "on_hand": 5}, "field_invalid"),
        ]:
            yield Case(f"correct: {name}", self.keyed("POST", path, body), 422, code)
        for who in ("analyst", "integration"):
            yield Case(f"correct by {who}", self.keyed("POST", path, good, who), 403, "role_required")
