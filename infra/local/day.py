"""One trading day's file, and what must come of it.

The figures here are computed from the file alone, in decimals and without the system's code, so that
they can prove it right or wrong. What a row means is written in tests/data/online-retail/README.md.
"""

import csv
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from progress import Failure

try:
    from zoneinfo import ZoneInfo

    LONDON = ZoneInfo("Europe/London")
except Exception:  # A system without a time zone database.
    LONDON = None

COLUMNS = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
PENNY = Decimal("0.01")


@dataclass(frozen=True)
class Line:
    """A row of a sale or a return; a return's quantity is positive here."""

    row: int
    sku: str
    quantity: int
    unit_price: Decimal

    @property
    def pence(self) -> int:
        """Quantity times price, half a penny rounded away from zero."""
        return int((self.quantity * self.unit_price).quantize(PENNY, ROUND_HALF_UP) * 100)


@dataclass
class Invoice:
    """A sale or a return."""

    number: str
    is_return: bool
    store: str
    time: datetime
    customer: str | None
    lines: list[Line] = field(default_factory=list)

    @property
    def digits(self) -> str:
        return self.number.removeprefix("C")

    @property
    def register(self) -> str:
        return f"r-{int(self.digits) % 4 + 1}"

    @property
    def lane(self) -> str:
        return f"{self.store}/{self.register}"

    @property
    def pence(self) -> int:
        return sum(line.pence for line in self.lines)


@dataclass(frozen=True)
class Adjustment:
    """Units that left the stock without a sale."""

    row: int
    number: str
    store: str
    sku: str
    quantity: int
    reason: str


@dataclass
class Figures:
    """The metrics of analytics, amounts in pence."""

    gross_sales: int = 0
    returns: int = 0
    orders: int = 0
    return_orders: int = 0
    units: int = 0

    def add(self, invoice: Invoice) -> None:
        if invoice.is_return:
            self.returns += invoice.pence
            self.return_orders += 1
        else:
            self.gross_sales += invoice.pence
            self.orders += 1
            self.units += sum(line.quantity for line in invoice.lines)

    @property
    def average_order_value(self) -> int | None:
        if not self.orders:
            return None
        return int((Decimal(self.gross_sales) / self.orders).quantize(Decimal(1), ROUND_HALF_UP))

    def metrics(self) -> dict[str, int | None]:
        return {
            "gross_sales": self.gross_sales,
            "discounts": 0,
            "returns": self.returns,
            "net_sales": self.gross_sales - self.returns,
            "tax": 0,
            "tips": 0,
            "orders": self.orders,
            "return_orders": self.return_orders,
            "units": self.units,
            "average_order_value": self.average_order_value,
        }


class Day:
    """A file's rows, by what they are."""

    def __init__(self, path: Path):
        self.path = path
        self.invoices: list[Invoice] = []
        self.adjustments: list[Adjustment] = []
        self.skipped = 0
        self.countries: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.prices: dict[str, Decimal] = {}
        by_number: dict[str, Invoice] = {}
        self.rows = 0
        for row, values in read(path):
            self.rows += 1
            self.add_row(row, values, by_number)
        if not self.invoices:
            raise Failure(f"{path} holds no invoices")
        self.date = self.invoices[0].time.date()
        others = {str(invoice.time.date()) for invoice in self.invoices} - {str(self.date)}
        if others:
            raise Failure(f"{path} holds more than one day: {self.date} and {', '.join(sorted(others))}")

    def add_row(self, row: int, values: dict[str, str], by_number: dict[str, Invoice]) -> None:
        number, sku = values["InvoiceNo"], values["StockCode"]
        if number.startswith("A"):
            self.skipped += 1
            return
        is_return = number.startswith("C")
        if not re.fullmatch(r"C?[0-9]+", number):
            raise Failure(f"{self.path}, row {row}: what is invoice {number!r}?")
        quantity, price = int(values["Quantity"]), Decimal(values["UnitPrice"])
        if quantity == 0 or (is_return and quantity > 0):
            raise Failure(f"{self.path}, row {row}: quantity {quantity} in invoice {number}")
        store = store_of(values["Country"])
        self.countries[store] = values["Country"]
        self.prices.setdefault(sku, price)
        if values["Description"].strip():
            self.names.setdefault(sku, values["Description"].strip())
        if quantity < 0 and not is_return:
            reason = values["Description"].strip() or "adjustment"
            self.adjustments.append(Adjustment(row, number, store, sku, -quantity, reason))
            return
        invoice = by_number.get(number)
        if invoice is None:
            moment = local_time(values["InvoiceDate"])
            customer = values["CustomerID"].removesuffix(".0") or None
            invoice = by_number[number] = Invoice(number, is_return, store, moment, customer)
            self.invoices.append(invoice)
        invoice.lines.append(Line(row, sku, abs(quantity), price))

    @property
    def version(self) -> int:
        return int(self.date.strftime("%Y%m%d"))

    def stores(self) -> list[str]:
        return sorted(self.countries)

    def lanes(self) -> dict[str, int]:
        """Lane -> how many orders and returns it must count."""
        counts: dict[str, int] = defaultdict(int)
        for invoice in self.invoices:
            counts[invoice.lane] += 1
        return dict(counts)

    def opening_stock(self) -> dict[tuple[str, str], int]:
        """(store, SKU) -> the units that the day sells or adjusts away; 0 where it is only returned."""
        stock: dict[tuple[str, str], int] = defaultdict(int)
        for invoice in self.invoices:
            for line in invoice.lines:
                if is_stocked(line.sku):
                    stock[invoice.store, line.sku] += 0 if invoice.is_return else line.quantity
        for adjustment in self.adjustments:
            stock[adjustment.store, adjustment.sku] += adjustment.quantity
        return dict(stock)

    def closing_stock(self) -> dict[tuple[str, str], int]:
        """What is left: opening, less what was sold or adjusted, plus what came back."""
        stock = self.opening_stock()
        for invoice in self.invoices:
            for line in invoice.lines:
                if is_stocked(line.sku):
                    stock[invoice.store, line.sku] += line.quantity if invoice.is_return else -line.quantity
        for adjustment in self.adjustments:
            stock[adjustment.store, adjustment.sku] -= adjustment.quantity
        return stock

    def by_store(self) -> dict[str, Figures]:
        figures: dict[str, Figures] = defaultdict(Figures)
        for invoice in self.invoices:
            figures[invoice.store].add(invoice)
        return dict(figures)

    def by_hour(self, store: str) -> dict[datetime, Figures]:
        """Start of the hour, in local time -> figures."""
        figures: dict[datetime, Figures] = defaultdict(Figures)
        for invoice in self.invoices:
            if invoice.store == store:
                figures[invoice.time.replace(minute=0, second=0)].add(invoice)
        return dict(figures)

    def by_product(self, store: str) -> dict[str, dict[str, int]]:
        """SKU -> what of the metrics belongs to a product; its orders are those it is in, once each."""
        figures: dict[str, dict[str, int]] = defaultdict(
            lambda: {"gross_sales": 0, "returns": 0, "units": 0, "orders": 0, "return_orders": 0}
        )
        for invoice in self.invoices:
            if invoice.store != store:
                continue
            for line in invoice.lines:
                product = figures[line.sku]
                if invoice.is_return:
                    product["returns"] += line.pence
                else:
                    product["gross_sales"] += line.pence
                    product["units"] += line.quantity
            for sku in {line.sku for line in invoice.lines}:
                figures[sku]["return_orders" if invoice.is_return else "orders"] += 1
        return {
            sku: {**product, "net_sales": product["gross_sales"] - product["returns"]}
            for sku, product in figures.items()
        }


def read(path: Path):
    """(row number, values) of a file; the header is row 1."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != COLUMNS:
                raise Failure(f"{path} is not a sales file: its first line must be {','.join(COLUMNS)}")
            yield from enumerate(reader, start=2)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from error


def store_of(country: str) -> str:
    return "s-" + re.sub("[^a-z0-9]+", "-", country.lower()).strip("-")


def is_stocked(sku: str) -> bool:
    return re.match("[0-9]{5}", sku) is not None


def local_time(text: str) -> datetime:
    """A wall-clock time in London, with its offset."""
    moment = datetime.fromisoformat(text)
    if LONDON:
        # Plain offsets from here on, so that hours compare by what they say.
        offset = moment.replace(tzinfo=LONDON).utcoffset()
    else:
        offset = london_offset(moment)
    return moment.replace(tzinfo=timezone(offset))


def london_offset(moment: datetime) -> timedelta:
    """The rule since 1996: an hour ahead from the last Sunday of March to that of October, 01:00 UTC."""
    starts = last_sunday(moment.year, 3).replace(hour=1)
    ends = last_sunday(moment.year, 10).replace(hour=2)
    return timedelta(hours=1 if starts <= moment < ends else 0)


def last_sunday(year: int, month: int) -> datetime:
    last = date(year, month, 31)
    return datetime(year, month, 31 - (last.weekday() + 1) % 7)

