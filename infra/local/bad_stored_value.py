"""What can be wrong with a gift card or an account: how it is issued, read, changed and listed."""

from collections.abc import Iterator
from dataclasses import replace

from hostile_client import CARD, Case, HostileClient, expect

ISSUE = "/v1/stored-value"


class BadStoredValue(HostileClient):
    """Tables of gift cards and accounts that are refused."""

    def issued(self, amount: int = 100) -> str:
        """The number of a gift card that is right."""
        body = {"kind": "gift_card", "currency": "GBP", "amount": amount, "reason": "sold"}
        answer = self.answer(self.keyed("POST", ISSUE, body, "manager"))
        expect(answer.status == 201, answer.text)
        return answer.json()["id"]

    def stored_values(self) -> Iterator[Case]:
        number = self.issued()
        new = {"kind": "gift_card", "currency": "GBP", "amount": 100, "reason": "sold"}
        for name, changed, status, code, field in [
            ("a kind that is none", {"kind": "purse"}, 422, "field_invalid", "kind"),
            ("a currency that is none", {"currency": "pounds"}, 422, "field_invalid", "currency"),
            ("less than nothing", {"amount": -1}, 422, "amount_out_of_range", "amount"),
            ("too much", {"amount": 1_000_000_000_001}, 422, "amount_out_of_range", "amount"),
            ("a half", {"amount": 0.5}, 422, "field_invalid", "amount"),
            ("a text", {"amount": "100"}, 422, "field_invalid", "amount"),
            ("no reason", {"reason": " "}, 422, "reason_required", "reason"),
            ("a long reason", {"reason": "x" * 201}, 422, "text_too_long", "reason"),
            ("a card number as reason", {"reason": CARD}, 422, "card_number_refused", "reason"),
            ("a card number as number", {"id": CARD}, 422, "card_number_refused", "id"),
            ("a short number", {"id": "12345"}, 422, "gift_card_number_malformed", "id"),
            ("a long number", {"id": "x" * 41}, 422, "gift_card_number_malformed", "id"),
            ("a number with a separator", {"id": "GC#12345"}, 422, "id_malformed", "id"),
            ("a number that is taken", {"id": number}, 409, "stored_value_exists", None),
            ("an account of that name", {"id": number, "kind": "account"}, 409, "stored_value_exists", None),
            ("an account of nobody", {"kind": "account"}, 422, "customer_required", "customer_id"),
            ("a customer that is none", {"customer_id": "a b"}, 422, "id_malformed", "customer_id"),
            ("an end that is past", {"expires_at": "2010-12-01T00:00:00Z"}, 422, "expires_at_past", "expires_at"),
            ("an end that is none", {"expires_at": "soon"}, 422, "field_invalid", "expires_at"),
            ("an unknown member", {"balance": 100}, 422, "field_invalid", "balance"),
        ]:
            yield Case(f"issue: {name}", self.keyed("POST", ISSUE, {**new, **changed}), status, code, field)
        one, nothing = f"{ISSUE}/{number}", f"{ISSUE}/nothing-{self.run}"
        moved, blocked = {"amount": 1, "reason": "x"}, {"reason": "x"}
        for name, path, body, status, code in [
            ("credit nothing", f"{one}/credit", {**moved, "amount": 0}, 422, "amount_not_positive"),
            ("credit too much", f"{one}/credit", {**moved, "amount": 10**12}, 422, "amount_out_of_range"),
            ("credit more than a number", f"{one}/credit", {**moved, "amount": 10**19}, 422, "field_invalid"),
            ("debit nothing", f"{one}/debit", {**moved, "amount": -1}, 422, "amount_not_positive"),
            ("debit below zero", f"{one}/debit", {**moved, "amount": 101}, 409, "insufficient_balance"),
            ("debit for no reason", f"{one}/debit", {**moved, "reason": ""}, 422, "reason_required"),
            ("debit without a reason", f"{one}/debit", {"amount": 1}, 422, "field_invalid"),
            ("unblock what is not blocked", f"{one}/unblock", blocked, 409, "stored_value_not_blocked"),
            ("block for a card", f"{one}/block", {"reason": CARD}, 422, "card_number_refused"),
            ("block with an amount", f"{one}/block", moved, 422, "field_invalid"),
            ("credit what is not there", f"{nothing}/credit", moved, 404, "stored_value_not_found"),
            ("block what is not there", f"{nothing}/block", blocked, 404, "stored_value_not_found"),
            ("credit a payment card", f"{ISSUE}/{CARD}/credit", moved, 422, "card_number_refused"),
            ("credit a key", f"{ISSUE}/a%23b/credit", moved, 422, "id_malformed"),
        ]:
            yield Case(name, self.keyed("POST", path, body), status, code)
            yield Case(f"{name}, of no version", self.keyed("POST", path, body, **{"If-Match": "1"}), 400, "if_match_malformed")
            yield Case(f"{name}, without a key", replace(self.keyed("POST", path, body), headers={}), 400, "idempotency_key_missing")
        for what, body in [("credit", moved), ("debit", moved), ("block", blocked), ("unblock", blocked)]:
            stale = self.keyed("POST", f"{one}/{what}", body, **{"If-Match": '"2"'})
            yield Case(f"{what}: of another version", stale, 412, "version_mismatch")
        for name, path, status, code in [
            ("read what is not there", nothing, 404, "stored_value_not_found"),
            ("read a payment card", f"{ISSUE}/{CARD}", 422, "card_number_refused"),
            ("list what is not there", f"{nothing}/movements", 404, "stored_value_not_found"),
            ("list none", f"{one}/movements?limit=0", 422, "limit_out_of_range"),
            ("list too many", f"{one}/movements?limit=201", 422, "limit_out_of_range"),
            ("list from nowhere", f"{one}/movements?cursor=x", 400, "cursor_malformed"),
        ]:
            yield Case(name, self.ask(path), status, code)
        for token in ("nobody", "analyst", "cashier", "warehouse"):
            for name, request in [
                ("issue", self.keyed("POST", ISSUE, new, token)),
                ("credit", self.keyed("POST", f"{one}/credit", moved, token)),
                ("debit", self.keyed("POST", f"{one}/debit", moved, token)),
                ("block", self.keyed("POST", f"{one}/block", blocked, token)),
                ("unblock", self.keyed("POST", f"{one}/unblock", blocked, token)),
                ("list", self.ask(f"{one}/movements", token)),
            ]:
                yield Case(f"{name}: {token}", request, 403, "role_required")
            if token != "cashier":
                yield Case(f"read: {token}", self.ask(one, token), 403, "role_required")
