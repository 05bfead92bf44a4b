"""What can be wrong with the commands of a shift, and with reading shifts."""

from collections.abc import Iterator

from hostile_client import CARD, Case, HostileClient, Request, pounds


class BadTills(HostileClient):
    """Tables of shifts: one is open on register r-2, one is closed."""

    def at_till(self, action: str, /, **payload) -> Request:
        return self.command(action, payload, register_id="r-2")

    def of_open(self, action: str, /, **payload) -> Request:
        return self.at_till(action, shift_id=self.open_shift, **payload)

    def movements(self, shift: str) -> Iterator[tuple[str, dict]]:
        of = {"shift_id": shift}
        yield "paid_in", {**of, "amount": pounds(5), "reason": "x"}
        yield "paid_out", {**of, "amount": pounds(5), "reason": "x"}
        yield "no_sale", of
        yield "cash_count", {**of, "counted": pounds(5)}
        yield "close_till", {**of, "counted": pounds(5)}
        yield "get_x_report", of

    def shifts(self) -> Iterator[Case]:
        for name, shift, status, code in [
            ("closed", self.closed_shift, 409, "shift_closed"),
            ("unknown", f"nothing-{self.run}", 404, "shift_not_found"),
            ("with a separator", "a#b", 422, "id_malformed"),
            ("a card", CARD, 422, "card_number_refused"),
        ]:
            for action, payload in self.movements(shift):
                yield Case(f"{action}: shift {name}", self.at_till(action, **payload), status, code)
        for action, payload in self.movements(self.open_shift):
            request = self.command(action, payload)
            yield Case(f"{action}: another register's shift", request, 409, "shift_of_another_register")
            request = self.command(action, payload, store_id=self.second_store)
            yield Case(f"{action}: another store's shift", request, 409, "shift_of_another_store")
            request = self.command(action, payload, register_id=f"nothing-{self.run}")
            yield Case(f"{action}: at no register", request, 404, "register_not_found")
            yield Case(f"{action}: with more", self.at_till(action, **payload, x=1), 422, "field_invalid")
            request = self.command(action, payload, "warehouse", register_id="r-2")
            yield Case(f"{action}: of the stock room", request, 403, "role_required")
            request = self.command(action, payload, "till", register_id="r-2")
            yield Case(f"{action}: of another till", request, 403, "register_out_of_reach")
        positive, range_, reason = "amount_not_positive", "amount_out_of_range", "reason_required"
        for action in ("paid_in", "paid_out"):
            for name, changed, status, code in [
                ("nothing", {"amount": pounds(0)}, 422, positive),
                ("less than nothing", {"amount": pounds(-5)}, 422, positive),
                ("10^12 + 1", {"amount": pounds(10**12 + 1)}, 422, range_),
                ("half a penny", {"amount": pounds(0.5)}, 422, "field_invalid"),
                ("a text", {"amount": pounds("5")}, 422, "field_invalid"),
                ("euros", {"amount": {"amount": 5, "currency": "EUR"}}, 422, "currency_mismatch"),
                ("no currency", {"amount": {"amount": 5}}, 422, "field_invalid"),
                ("no amount", {"amount": None}, 422, "field_invalid"),
                ("for no reason", {"reason": " "}, 422, reason),
                ("without a reason", {"reason": None}, 422, "field_invalid"),
                ("for a long reason", {"reason": "x" * 201}, 422, "text_too_long"),
                ("for a card", {"reason": CARD}, 422, "card_number_refused"),
                ("approved by a card", {"approval_id": CARD}, 422, "card_number_refused"),
            ]:
                payload = {"amount": pounds(5), "reason": "x", **changed}
                yield Case(f"{action}: {name}", self.of_open(action, **payload), status, code)
        much = self.of_open("paid_out", amount=pounds(10**9), reason="x")
        yield Case("paid_out: more than there is", much, 409, "drawer_short")
        yield Case("no_sale: a long reason", self.of_open("no_sale", reason="x" * 201), 422, "text_too_long")
        for action in ("cash_count", "close_till"):
            for name, counted in [
                ("nothing counted", ({}, "count_required")),
                ("less than nothing", ({"counted": pounds(-1)}, "amount_negative")),
                ("10^12 + 1", ({"counted": pounds(10**12 + 1)}, range_)),
                ("euros", ({"counted": {"amount": 5, "currency": "EUR"}}, "currency_mismatch")),
                ("coins of nothing", ({"denominations": self.coins(0, 1)}, "denomination_invalid")),
                ("too many coins", ({"denominations": self.coins(1, 10**6 + 1)}, "denomination_invalid")),
                ("2^32 coins", ({"denominations": self.coins(1, 2**32)}, "field_invalid")),
                ("fewer coins than none", ({"denominations": self.coins(1, -1)}, "field_invalid")),
                ("one coin twice", ({"denominations": self.coins(5, 1) * 2}, "denomination_repeated")),
                ("41 kinds", ({"denominations": self.kinds(41)}, "too_many_denominations")),
                (
                    "coins that do not sum",
                    ({"counted": pounds(11), "denominations": self.coins(5, 2)}, "denominations_do_not_sum"),
                ),
            ]:
                payload, code = counted
                yield Case(f"{action}: {name}", self.of_open(action, **payload), 422, code)
        new = f"new-{self.run}"
        yield Case("open_till: while one is open", self.at_till("open_till", shift_id=new), 409, "shift_open")
        taken = self.command("open_till", {"shift_id": self.open_shift})
        yield Case("open_till: an id that is taken", taken, 409, "shift_exists")
        for name, payload, code in [
            ("less than nothing", {"amount": pounds(-1)}, "amount_negative"),
            ("10^12 + 1", {"amount": pounds(10**12 + 1)}, range_),
            ("euros", {"amount": {"amount": 5, "currency": "EUR"}}, "currency_mismatch"),
            ("a card as id", {"shift_id": CARD}, "card_number_refused"),
            ("a separator in its id", {"shift_id": "a#b"}, "id_malformed"),
            (
                "coins that do not sum",
                {"amount": pounds(11), "denominations": self.coins(5, 2)},
                "denominations_do_not_sum",
            ),
            ("coins of nothing", {"denominations": self.coins(0, 1)}, "denomination_invalid"),
        ]:
            yield Case(f"open_till: {name}", self.command("open_till", {"shift_id": new, **payload}), 422, code)
        for name, path, token, status, code in [
            ("an unknown one", f"/v1/shifts/nothing-{self.run}", "operator", 404, "shift_not_found"),
            ("one with a separator", "/v1/shifts/a%23b", "operator", 422, "id_malformed"),
            ("a stranger's", f"/v1/shifts/{self.open_shift}", "stranger", 404, "shift_not_found"),
            ("in the stock room", f"/v1/shifts/{self.open_shift}", "warehouse", 403, "role_required"),
            ("the proof of none", f"/v1/shifts/nothing-{self.run}/proof", "operator", 404, "shift_not_found"),
            ("of a store out of reach", f"/v1/shifts?store_id={self.second_store}", "cashier", 403, "store_out_of_reach"),
            ("of no store", "/v1/shifts?store_id=nothing", "operator", 404, "store_not_found"),
            ("a register of no store", "/v1/shifts?register_id=r-1", "operator", 422, "store_required"),
            ("in no state", "/v1/shifts?state=half", "operator", 422, "query_invalid"),
            ("201 a page", "/v1/shifts?limit=201", "operator", 422, "limit_out_of_range"),
            ("another cursor", "/v1/shifts?cursor=x", "operator", 400, "cursor_malformed"),
        ]:
            yield Case(f"read shifts: {name}", self.ask(path, token), status, code)

    def coins(self, pence: int, count: int) -> list[dict]:
        return [{"value": pounds(pence), "count": count}]

    def kinds(self, count: int) -> list[dict]:
        return [{"value": pounds(pence), "count": 1} for pence in range(1, count + 1)]
