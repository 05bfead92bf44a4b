"""The comparison itself: silent when the API says what the file says, and loud about every figure that
differs."""

import copy
import unittest

from compare import MONEY, compare
from test_day import ROWS, day_of


class Answers:
    """An API that answers from prepared figures."""

    def __init__(self, day):
        self.dashboards, self.hours, self.products, self.stock = {}, {}, {}, {}
        for store in day.stores():
            figures = day.by_store()[store].metrics()
            self.dashboards[store] = [{"bucket": "2010-12-01T00:00:00+00:00", "group": {}, "metrics": money(figures)}]
            self.hours[store] = [
                {"bucket": hour.isoformat(), "group": {"store": store}, "metrics": money(hourly.metrics())}
                for hour, hourly in day.by_hour(store).items()
            ]
            rows = [
                {"group": {"sku": sku}, "metrics": money(product)} for sku, product in day.by_product(store).items()
            ]
            self.products[store] = sorted(rows, key=lambda row: -row["metrics"]["net_sales"]["amount"])
            self.stock[store] = [
                {"sku": sku, "on_hand": units, "reserved": 0, "available": units}
                for (where, sku), units in day.closing_stock().items()
                if where == store
            ]

    def get(self, path, store_id, **query):
        return {"rows": (self.dashboards if path.endswith("/dashboard") else self.hours)[store_id]}

    def pages(self, path, items="items", store_id=None, **query):
        yield from self.products[store_id] if items == "rows" else self.stock[path.split("/")[3]]


def money(figures: dict) -> dict:
    return {
        name: {"amount": value, "currency": "GBP"} if name in MONEY and value is not None else value
        for name, value in figures.items()
    }


class CompareTest(unittest.TestCase):
    def setUp(self):
        self.day = day_of(ROWS)
        self.answers = Answers(self.day)
        self.uk = "s-united-kingdom"

    def differences(self, alone=True):
        return compare(self.answers, self.day, alone)[0]

    def test_nothing_differs(self):
        self.assertEqual([], self.differences())
        self.assertGreater(compare(self.answers, self.day, True)[1], 80)

    def test_every_metric_of_every_view_counts(self):
        intact = copy.deepcopy(self.answers)
        for view in ("dashboards", "hours", "products"):
            for name in getattr(intact, view)[self.uk][0]["metrics"]:
                with self.subTest(view, name=name):
                    self.answers = copy.deepcopy(intact)
                    metrics = getattr(self.answers, view)[self.uk][0]["metrics"]
                    metrics[name] = {"amount": 99_999, "currency": "GBP"} if name in MONEY else 99_999
                    self.assertTrue(any(name in difference for difference in self.differences()))

    def test_a_missing_or_an_unknown_row_counts(self):
        self.answers.products[self.uk].pop()
        self.answers.hours[self.uk].pop()
        self.answers.stock[self.uk].pop()
        self.assertGreaterEqual(len(self.differences()), 3)
        self.answers = Answers(self.day)
        self.answers.products[self.uk].append({"group": {"sku": "99999"}, "metrics": money({"net_sales": -500})})
        self.assertEqual(1, len(self.differences()))

    def test_stock_the_file_does_not_name_counts_only_when_the_day_is_alone(self):
        self.answers.stock[self.uk].append({"sku": "99999", "on_hand": 1, "reserved": 0, "available": 1})
        self.assertEqual(1, len(self.differences()))
        self.assertEqual([], self.differences(alone=False))

    def test_another_currency_or_offset_counts(self):
        self.answers.dashboards[self.uk][0]["metrics"]["net_sales"]["currency"] = "EUR"
        self.answers.hours[self.uk][0]["bucket"] = "2010-12-01T09:00:00+01:00"
        self.assertEqual(2, len(self.differences()))


if __name__ == "__main__":
    unittest.main()
