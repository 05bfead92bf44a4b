"""Compares what the API says of a day with what the file says: every figure, both ways round."""

from datetime import datetime

from api import Api
from day import Day

MONEY = ("gross_sales", "discounts", "returns", "net_sales", "tax", "tips", "average_order_value")


def compare(api: Api, day: Day, alone: bool) -> tuple[list[str], int]:
    """Differences in words, and how many figures were compared. `alone`: no other day is loaded, so
    stock that the file does not name is a difference too."""
    found = Comparison()
    stores = day.by_store()
    for store in day.stores():
        expected = stores[store].metrics() if store in stores else None
        if expected:
            dashboard(api, day, store, expected, found)
            sales_by_hour(api, day, store, found)
            products(api, day, store, found)
        closing_stock(api, day, store, alone, found)
    return found.differences, found.compared


class Comparison:
    def __init__(self):
        self.differences: list[str] = []
        self.compared = 0

    def equal(self, what: str, expected, actual) -> None:
        self.compared += 1
        if expected != actual:
            self.differences.append(f"{what}: the file says {expected}, the API {actual}")

    def metrics(self, what: str, expected: dict, actual: dict) -> None:
        for name, value in expected.items():
            self.equal(f"{what}, {name}", value, figure(name, actual.get(name)))


def figure(name: str, value):
    """A metric as a plain number; money must be pounds."""
    if name in MONEY and value is not None:
        return value["amount"] if isinstance(value, dict) and value.get("currency") == "GBP" else f"not money: {value}"
    return value


def dashboard(api: Api, day: Day, store: str, expected: dict, found: Comparison) -> None:
    rows = api.get("/v1/analytics/dashboard", store_id=store, date=day.date)["rows"]
    found.equal(f"{store}, dashboard, rows", 1, len(rows))
    found.metrics(f"{store}, dashboard", expected, rows[0]["metrics"] if rows else {})


def sales_by_hour(api: Api, day: Day, store: str, found: Comparison) -> None:
    # `from` is a keyword here, so the query is given as a dictionary.
    query = {"store_id": store, "from": day.date, "to": day.date, "granularity": "hour", "group_by": "store"}
    expected = {hour: figures.metrics() for hour, figures in day.by_hour(store).items()}
    actual = {}
    for row in api.get("/v1/analytics/sales", **query)["rows"]:
        hour = datetime.fromisoformat(row["bucket"])
        found.equal(f"{store}, {row['bucket']}, offset", day.invoices[0].time.utcoffset(), hour.utcoffset())
        actual[hour] = row["metrics"]
    for hour in sorted(expected.keys() | actual.keys()):
        label = f"{store}, hour {hour:%H:%M}"
        if hour in expected:
            found.metrics(label, expected[hour], actual.get(hour, {}))
        else:
            # An hour without sales may be answered, with nothing in it.
            found.equal(label, False, any(figure(name, value) for name, value in actual[hour].items()))


def products(api: Api, day: Day, store: str, found: Comparison) -> None:
    query = {"store_id": store, "from": day.date, "to": day.date, "order_by": "net_sales"}
    expected = day.by_product(store)
    actual, order = {}, []
    for row in api.pages("/v1/analytics/products", items="rows", **query):
        sku = row["group"]["sku"]
        found.equal(f"{store}, product {sku}, answered twice", False, sku in actual)
        actual[sku] = row["metrics"]
        order.append(figure("net_sales", row["metrics"].get("net_sales")))
    found.equal(f"{store}, products, in order of net sales", sorted(order, reverse=True), order)
    for sku in sorted(expected.keys() | actual.keys()):
        found.metrics(f"{store}, product {sku}", expected.get(sku, {}), actual.get(sku, {}))
        if sku not in expected:
            found.equal(f"{store}, product {sku}", None, actual[sku])


def closing_stock(api: Api, day: Day, store: str, alone: bool, found: Comparison) -> None:
    expected = {sku: units for (where, sku), units in day.closing_stock().items() if where == store}
    actual = {}
    for item in api.pages(f"/v1/locations/{store}/inventory"):
        found.equal(f"{store}, stock of {item['sku']}, answered twice", False, item["sku"] in actual)
        actual[item["sku"]] = item
    for sku, units in sorted(expected.items()):
        item = actual.get(sku, {})
        found.equal(f"{store}, stock of {sku}, on hand", units, item.get("on_hand"))
        found.equal(f"{store}, stock of {sku}, reserved", 0, item.get("reserved"))
        found.equal(f"{store}, stock of {sku}, available", units, item.get("available"))
    if alone:
        found.equal(f"{store}, stock the file does not name", [], sorted(actual.keys() - expected.keys()))


def dashboard_text(api: Api, day: Day) -> str:
    """The day's dashboard as a table, straight from the API."""
    lines = [
        "",
        f"    Dashboard of {day.date}",
        f"    {'store':24} {'gross':>13} {'returns':>12} {'net':>13} {'orders':>7} {'returned':>8} {'units':>8}",
    ]
    totals = [0] * 6
    for store in day.stores():
        rows = api.get("/v1/analytics/dashboard", store_id=store, date=day.date)["rows"]
        metrics = rows[0]["metrics"] if rows else {}
        names = ("gross_sales", "returns", "net_sales", "orders", "return_orders", "units")
        values = [figure(name, metrics.get(name)) or 0 for name in names]
        totals = [total + value for total, value in zip(totals, values, strict=True)]
        lines.append(dashboard_line(store, values))
    lines += [dashboard_line("all", totals), ""]
    return "\n".join(lines)


def dashboard_line(label: str, values: list[int]) -> str:
    gross, returns, net = (f"{value / 100:,.2f}" for value in values[:3])
    orders, returned, units = values[3:]
    return f"    {label:24} {gross:>13} {returns:>12} {net:>13} {orders:>7} {returned:>8} {units:>8,}"
