"""A hostile client: everything that can be wrong with a request, a token, an upload or a record. Each has
an answer of its own that says what was wrong, and nothing is changed by it.

    bad_input.py [--directory target/local]      against a running stack

The cases are tables: a name, a request, the status and the code that a client must get.
"""

from collections.abc import Iterator

import checks
from bad_access import BadAccess
from bad_actions import BadActions, StrictTenant
from bad_after_sale import BadAfterSale
from bad_approvals import BadApprovals
from bad_carts import BadCarts
from bad_commands import BadCommands
from bad_counts import BadCounts
from bad_documents import BadDocuments
from bad_exchanges import BadExchanges
from bad_purchases import BadPurchases
from bad_queries import BadQueries
from bad_records import BadRecords
from bad_stored_value import BadStoredValue
from bad_tills import BadTills
from bad_values import BadValues
from hostile_client import Table


def run(stack) -> None:
    """Every table and check; raises one AssertionError that lists all that was answered wrongly."""
    client = BadInput(stack)
    client.load()
    failed = [failure for table in client.tables() for failure in client.work_off(table)]
    failed += checks.failures(client.checks())
    checks.require_none(failed, "answers to bad input were wrong")


class BadInput(
    BadCommands,
    BadValues,
    BadCarts,
    BadActions,
    BadAfterSale,
    BadAccess,
    BadApprovals,
    BadStoredValue,
    BadCounts,
    BadPurchases,
    BadQueries,
    BadDocuments,
    BadExchanges,
    BadRecords,
    BadTills,
):
    """All of it."""

    def load(self) -> None:
        super().load()
        self.strict = StrictTenant(self.stack)
        self.strict.load()

    # Tables

    def tables(self) -> Iterator[Table]:
        yield Table("bodies that are no JSON", self.bodies)
        yield Table("envelopes", self.envelopes)
        yield Table("idempotency keys", self.idempotency_keys)
        yield Table("things that are not there", self.unknown_things)
        yield Table("every action with what is not its sender's", self.every_action)
        yield Table("quantities, prices and amounts", self.numbers)
        yield Table("card numbers and texts", self.texts)
        yield Table("discounts by hand", self.discounts)
        yield Table("coupons, promotions and modifiers", self.promotions)
        yield Table("approvals", self.approvals)
        yield Table("commands with approvals", self.approved_commands)
        yield Table("approvals that are for something else", self.foreign_approvals)
        yield Table("settings", self.settings)
        yield Table("gift cards and accounts", self.stored_values)
        yield Table("states of a cart", self.cart_states)
        yield Table("parked carts", self.parked_carts)
        yield Table("voids", self.voids)
        yield Table("exchanges", self.exchanges)
        yield Table("the way of an order", self.order_statuses)
        yield Table("sales made elsewhere", self.recorded_sales)
        yield Table("shifts", self.shifts)
        yield Table("tokens", self.bad_tokens)
        yield Table("every route without a token", self.routes_without_token)
        yield Table("roles and stores", self.reach)
        yield Table("another tenant's token", self.another_tenant)
        yield Table("stock", self.stock_requests)
        yield Table("count sheets and corrections", self.counts)
        yield Table("suppliers, purchase orders, deliveries", self.purchases)
        yield Table("lists: limits and cursors", self.lists)
        yield Table("days and filters", self.days)
        yield Table("paths and methods", self.paths)
        yield Table("too large", self.sizes)
        yield Table("feeds", self.feeds)
        yield Table("documents", self.documents)


if __name__ == "__main__":
    checks.main("bad_input.py", run)
