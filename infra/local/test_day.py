"""The computation that the system is checked against, checked itself: figures worked out by hand."""

import tempfile
import unittest
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from day import Day, Line, is_stocked, london_offset, store_of
from progress import Failure

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
ROWS = HEADER + (
    "100,11111,RED CUP,3,2010-12-01 08:26:00,2.555,17850.0,United Kingdom\n"  # 7.665 -> 7.67
    "100,11111,,1,2010-12-01 08:26:00,0.0,17850.0,United Kingdom\n"
    "101,POST,POSTAGE,2,2010-12-01 09:00:00,18.0,,EIRE\n"
    "102,11111,damaged,-2,2010-12-01 09:10:00,0.0,,United Kingdom\n"
    "C104,22222,,-4,2010-12-01 09:59:00,1.005,14527.0,United Kingdom\n"  # 4.02
    "A105,B,Adjust bad debt,1,2010-12-01 10:00:00,-11062.06,,United Kingdom\n"
)


def day_of(text: str) -> Day:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "day.csv"
        path.write_text(text)
        return Day(path)


class DayTest(unittest.TestCase):
    def test_rows_are_what_they_mean(self):
        day = day_of(ROWS)
        self.assertEqual(["100", "101", "C104"], [invoice.number for invoice in day.invoices])
        self.assertEqual((1, 1, 6), (len(day.adjustments), day.skipped, day.rows))
        self.assertEqual("17850", day.invoices[0].customer)
        self.assertIsNone(day.invoices[1].customer)
        self.assertEqual({"11111": "RED CUP", "POST": "POSTAGE"}, day.names)
        self.assertEqual(20101201, day.version)

    def test_lanes_follow_the_invoice_number(self):
        self.assertEqual(
            {"s-united-kingdom/r-1": 2, "s-eire/r-2": 1},  # 100 and 104 mod 4 = 0, 101 mod 4 = 1
            day_of(ROWS).lanes(),
        )

    def test_metrics(self):
        self.assertEqual(
            {
                "gross_sales": 767,
                "discounts": 0,
                "returns": 402,
                "net_sales": 365,
                "tax": 0,
                "tips": 0,
                "orders": 1,
                "return_orders": 1,
                "units": 4,
                "average_order_value": 767,
            },
            day_of(ROWS).by_store()["s-united-kingdom"].metrics(),
        )

    def test_hours(self):
        hours = day_of(ROWS).by_hour("s-united-kingdom")
        self.assertEqual([8, 9], [hour.hour for hour in sorted(hours)])
        self.assertIsNone(hours[max(hours)].metrics()["average_order_value"])

    def test_products(self):
        products = day_of(ROWS).by_product("s-united-kingdom")
        sold = {"gross_sales": 767, "returns": 0, "units": 4, "orders": 1, "return_orders": 0, "net_sales": 767}
        self.assertEqual(sold, products["11111"])
        returned = {"gross_sales": 0, "returns": 402, "units": 0, "orders": 0, "return_orders": 1, "net_sales": -402}
        self.assertEqual(returned, products["22222"])

    def test_stock_opens_with_what_leaves_and_closes_with_what_came_back(self):
        day = day_of(ROWS)
        uk = "s-united-kingdom"
        self.assertEqual({(uk, "11111"): 6, (uk, "22222"): 0}, day.opening_stock())
        self.assertEqual({(uk, "11111"): 0, (uk, "22222"): 4}, day.closing_stock())

    def test_half_a_penny_rounds_away_from_zero(self):
        self.assertEqual(1, Line(1, "a", 1, Decimal("0.005")).pence)
        self.assertEqual(3, Line(1, "a", 5, Decimal("0.005")).pence)
        self.assertEqual(766, Line(1, "a", 3, Decimal("2.5549")).pence)

    def test_names_of_stores_and_stocked_products(self):
        self.assertEqual("s-channel-islands-uk", store_of("Channel Islands (UK)"))
        self.assertTrue(is_stocked("85123A"))
        self.assertFalse(is_stocked("gift_0001_20"))

    def test_summer_time_without_a_time_zone_database(self):
        for moment, hours in (
            ("2011-03-27T00:59", 0),
            ("2011-03-27T02:00", 1),
            ("2011-10-30T00:59", 1),
            ("2011-10-31T08:00", 0),
            ("2010-07-01T12:00", 1),
        ):
            self.assertEqual(timedelta(hours=hours), london_offset(datetime.fromisoformat(moment)), moment)

    def test_what_is_not_a_day_is_refused(self):
        for text in (
            "a,b\n1,2\n",
            HEADER,
            HEADER + "X1,11111,,1,2010-12-01 08:26:00,1.0,,EIRE\n",
            ROWS + "106,11111,,1,2010-12-02 08:26:00,1.0,,EIRE\n",
        ):
            with self.assertRaises(Failure):
                day_of(text)


if __name__ == "__main__":
    unittest.main()
