"""Everything at once: the same command twenty times, different commands on one cart, one register, one
piece of stock. Over HTTP, each sender with a connection of its own, all let go by one barrier.

    contention.py [--directory target/local]      against a running stack

Everything is named after the run, so a second run on the same stack proves as much as the first.
"""

import time
from functools import partial

import checks
from contended_by_others import ContendedByOthers
from contended_by_the_same import ContendedByTheSame
from contended_store import expect, expect_equal

CAUGHT_UP_SECONDS_MAX = 180


def run(stack) -> None:
    """Every check; raises one AssertionError that lists all that did not hold."""
    contention = Contention(stack)
    contention.load()
    checks.require_none(checks.failures(contention.checks()), "checks under contention failed")


class Contention(ContendedByTheSame, ContendedByOthers):
    """All of it."""

    def checks(self):
        yield self.identical_commands
        yield self.identical_requests_for_approvals
        yield self.different_commands_on_one_approval
        yield self.identical_requests_on_stock
        yield self.identical_orders
        yield self.identical_requests_for_the_last_piece
        yield self.different_lines_on_one_cart
        yield self.different_carts_on_one_register
        yield self.different_orders_on_virtual_lanes
        yield self.reservations_of_more_than_there_is
        yield self.returns_of_one_line
        yield self.sales_of_the_last_piece
        yield self.sale_against_reservation_of_the_last_piece
        yield self.finalising_with_different_keys
        yield self.finalising_against_changing
        yield self.stock_is_the_sum_of_its_movements
        yield self.figures_count_every_order_once

    # Afterwards

    def stock_is_the_sum_of_its_movements(self) -> str:
        movements = 0
        for sku in sorted(self.skus):
            proof = self.wait(partial(self.caught_up, sku), f"the ledger of {sku}")
            expect(proof["holds"] and not proof["ranges"], f"{sku}: {proof}")
            rows = list(self.api.pages("/v1/inventory/movements", sku=sku, location_id=self.store))
            movements += len(rows)
            stock = self.stock(sku)
            numbers = [row["seq"] for row in rows]
            expect_equal(numbers, list(range(stock["version"], 0, -1)), f"{sku}: numbers of the movements")
            for counter in ("on_hand", "reserved"):
                total = sum(row["delta"][counter] for row in rows)
                expect_equal(total, stock[counter], f"{sku}: sum of the movements of {counter}")
        return f"{movements} movements of {len(self.skus)} products sum up"

    def caught_up(self, sku: str) -> dict | None:
        proof = self.api.get("/v1/inventory/conservation", sku=sku, location_id=self.store)
        return proof if proof["seq_reached"] == proof["seq_current"] else None

    def figures_count_every_order_once(self) -> str:
        wanted = self.sales + self.returns
        lanes = {f"{self.store}/{register}": count for register, count in wanted.items()}

        def complete() -> dict | None:
            reply = self.api.get("/v1/analytics/dashboard", store_id=self.store)
            reached = reply["watermark"]["lanes"]
            behind = [
                lane
                for lane, count in lanes.items()
                if (state := reached.get(lane)) is None or state["through"] < count or state["gaps"]
            ]
            return None if behind else reply

        reply = self.wait(complete, f"the figures of {lanes}")
        reached = {lane: state["through"] for lane, state in reply["watermark"]["lanes"].items()}
        expect_equal(reached, lanes, "numbers of the lanes")
        # Over midnight a run has two days; their sum is what counts.
        sales = self.api.get("/v1/analytics/sales", store_id=self.store, **last_days())["rows"]
        found = [sum(row["metrics"][name] for row in sales) for name in ("orders", "return_orders")]
        expect_equal(found, [self.sales.total(), self.returns.total()], "orders and returns")
        return f"{self.sales.total()} orders and {self.returns.total()} returns, each counted once"

    def wait(self, look, what: str):
        deadline = time.monotonic() + CAUGHT_UP_SECONDS_MAX
        while True:
            found = look()
            if found:
                return found
            expect(time.monotonic() < deadline, f"{what} did not catch up in {CAUGHT_UP_SECONDS_MAX} s")
            time.sleep(0.25)


def last_days() -> dict:
    """Today, and the days around it: which one it is depends on the store's clock."""
    from datetime import UTC, datetime, timedelta

    today = datetime.now(UTC).date()
    return {"from": today - timedelta(days=1), "to": today + timedelta(days=1)}


if __name__ == "__main__":
    checks.main("contention.py", run)
