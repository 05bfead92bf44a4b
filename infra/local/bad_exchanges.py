"""What a client must not do with exchanges: a return and a sale that are made final together."""

from collections.abc import Iterator

from hostile_client import Case, HostileClient, pounds


class BadExchanges(HostileClient):
    """Its table."""

    def exchanges(self) -> Iterator[Case]:
        action, nothing = "finalize_exchange", f"nothing-{self.run}"
        kind, state, invalid = "wrong_cart_kind", "wrong_cart_state", "field_invalid"
        back, sale = self.unrefunded, self.tendering
        for name, return_id, cart_id, status, code in [
            ("of no return", nothing, sale, 404, "cart_not_found"),
            ("for no sale", back, nothing, 404, "cart_not_found"),
            ("of a key", f"{back}#cart", sale, 422, "id_malformed"),
            ("for a key", back, f"{sale}#cart", 422, "id_malformed"),
            ("of a return for itself", back, back, 422, invalid),
            ("of a number", 7, sale, 422, invalid),
            ("for nothing", back, None, 422, invalid),
            ("of a sale for a return", sale, back, 409, kind),
            ("of a sale for a sale", self.paid, sale, 409, kind),
            ("of a return for a return", back, self.blind, 409, kind),
            ("of an empty return", self.returning, sale, 409, "cart_empty"),
            ("for an open sale", back, self.open, 409, state),
            ("for a final sale", back, self.final, 409, state),
            ("for a sale that was given up", back, self.voided, 409, state),
            ("for a sale that is paid", back, self.paid, 409, "overpaid"),
            ("for a sale that is paid in part", back, self.half_paid, 409, "overpaid"),
        ]:
            request = self.command(action, {"return_id": return_id, "cart_id": cart_id})
            yield Case(f"an exchange {name}", request, status, code)
        both = {"return_id": back, "cart_id": sale}
        for missing in both:
            payload = {name: id for name, id in both.items() if name != missing}
            yield Case(f"an exchange without {missing}", self.command(action, payload), 422, invalid)
        more = self.command(action, {**both, "amount": pounds(1)})
        yield Case("an exchange with an amount", more, 422, invalid)
        for name, total, status, code in [
            ("far above what it comes to", pounds(10**9), 409, "total_differs"),
            ("far below what it comes to", pounds(-(10**9)), 409, "total_differs"),
            ("beyond 10^12", pounds(10**12 + 1), 422, ("amount_out_of_range", invalid)),
            ("of another currency", {"amount": 1, "currency": "EUR"}, 422, "currency_mismatch"),
            ("that is a number", 1, 422, invalid),
        ]:
            request = self.command(action, {**both, "total": total})
            yield Case(f"an exchange at a total {name}", request, status, code)
        for name, changed in [("register", {"register_id": "r-2"}), ("store", {"store_id": self.second_store})]:
            request = self.command(action, both, **changed)
            yield Case(f"an exchange at another {name}", request, 409, f"cart_of_another_{name}")
        stranger = self.command(action, both, "stranger")
        yield Case("an exchange of another tenant", stranger, 404, "cart_not_found")
        tender = {"tender": "exchange", "amount": pounds(1)}
        for name, request in [
            ("pay", self.command("add_payment", {"cart_id": sale, **tender})),
            ("refund", self.command("refund_tender", {"return_id": back, **tender})),
        ]:
            yield Case(f"{name} by an exchange", request, 422, "unknown_tender", "payload.tender")
