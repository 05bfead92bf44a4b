"""A client that means harm: the world it works in, how it sends, and how an answer is judged."""

import http.client
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import actions
from progress import note

TENANT = "rubbish"
OTHER_TENANT = "rubbish-other"
ANSWER_SECONDS_MAX = 29  # API Gateway gives up after 30.
FIGURES_SECONDS_MAX = 90
PARKED_SECONDS_MAX = 180
LINES_MAX = 5_000
FEED_LINES = 10_000
# Test numbers of the card schemes: they pass the check digit and belong to nobody.
CARD = "4111111111111111"
CARDS = (
    CARD,
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "378282246310005",
    "paid by 5500.0000.0000.0004!",
)
DISGUISED_CARDS = (
    "4111  1111  1111  1111",
    "4111\u00a01111\u00a01111\u00a01111",
    "4111\u20131111\u20131111\u20131111",
    "4111\n1111\n1111\n1111",
    "\uff14" + "\uff11" * 15,
)


def expect(holds: bool, what) -> None:
    if not holds:
        raise AssertionError(what)


def pounds(pence) -> dict:
    return {"amount": pence, "currency": "GBP"}


@dataclass(frozen=True)
class Request:
    """As it goes over the wire. `token` is sent as it is; None sends no header."""

    method: str
    path: str
    body: object = None
    headers: dict = field(default_factory=dict)
    token: str | None = "operator"

    def data(self) -> bytes | None:
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> dict:
        try:
            parsed = json.loads(self.text)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


@dataclass(frozen=True)
class Case:
    """`status` and `code` hold what is right, several where several are. Without a code it is the
    gateway's own answer, of which only the status counts. `field` is the one that must be named."""

    name: str
    request: Request
    status: int | tuple
    code: str | tuple | None
    field: str | None = None

    def wrongs(self, answer: Answer) -> Iterator[str]:
        statuses = self.status if isinstance(self.status, tuple) else (self.status,)
        if answer.status not in statuses:
            yield f"status {answer.status}, expected {' or '.join(map(str, statuses))}"
        if any(card in answer.text for card in CARDS[:3]):
            yield "the answer repeats the card number"
        if self.code is None or self.request.method == "HEAD":
            return
        problem = answer.json()
        codes = self.code if isinstance(self.code, tuple) else (self.code,)
        if problem.get("code") not in codes:
            yield f"code {problem.get('code')}, expected {' or '.join(codes)}"
        if answer.status < 400:
            return
        if not answer.headers.get("content-type", "").startswith("application/problem+json"):
            yield f"content type {answer.headers.get('content-type')}"
        missing = {"type", "title", "status", "code", "detail", "instance", "errors"} - problem.keys()
        if missing:
            yield f"the problem document lacks {', '.join(sorted(missing))}"
        elif problem["status"] != answer.status or not problem["detail"]:
            yield "the problem document's status or detail is not right"
        elif self.field and self.field not in [error["field"] for error in problem["errors"]]:
            yield f"it names {[error['field'] for error in problem['errors']]}, expected {self.field}"
        if answer.status == 401 and "www-authenticate" not in answer.headers:
            yield "a 401 without WWW-Authenticate"


@dataclass(frozen=True)
class Table:
    """Its cases are made of the world as it is, so that they can be made again of a mended one."""

    title: str
    make: Callable[[], Iterable[Case]]


class HostileClient:
    """A store with carts in every state, and what is sent to harm it."""

    def __init__(self, stack, tenant: str = TENANT):
        from api import Api

        self.stack = stack
        self.key = stack.signing_key()
        self.run = secrets.token_hex(4)
        self.began_millis = int(time.time() * 1000)
        self.serial = 0
        self.store, self.second_store, self.warehouse = (f"{kind}-{self.run}" for kind in ("s", "t", "w"))
        self.sku, self.rice, self.euro = (f"{name}-{self.run}" for name in ("tea", "rice", "euro"))
        # Good for anything; the others of that kind each have something about them.
        self.coupon, self.promotion = f"GOOD-{self.run}", f"good-{self.run}"
        self.tokens = {
            "operator": stack.token(tenant, "operator", ["*"]),
            "manager": stack.token(tenant, "store_manager", [self.store]),
            "cashier": stack.token(tenant, "cashier", [self.store]),
            "far_cashier": stack.token(tenant, "cashier", [self.second_store]),
            "till": self.key.token(tenant, "cashier", [self.store], "r-1"),
            "warehouse": stack.token(tenant, "warehouse_staff", ["*"]),
            "analyst": stack.token(tenant, "analyst", ["*"]),
            "integration": stack.token(tenant, "integration", ["*"]),
            "nobody": stack.token(tenant, "superuser", ["*"]),
            "stranger": stack.token(OTHER_TENANT, "operator", ["*"]),
        }
        self.api = Api(stack.endpoint(), self.tokens["operator"])
        self.parts = urlsplit(stack.endpoint())
        self.connection: http.client.HTTPConnection | None = None
        # What reads a cart as it is: the command that made it, sent again.
        self.makers: dict[str, dict] = {}
        # Texts that no log may hold.
        self.secret_texts = [
            *self.tokens.values(),
            *CARDS[:4],
            f"jane-doe-{self.run}",
            f"note-{self.run}",
            f"reason-{self.run}",
            f"reference-{self.run}",
            f"customer-{self.run}@example.com",
        ]

    # The world before

    def load(self) -> None:
        from api import Api

        places = [
            (self.store, "store", ["r-1", "r-2"]),
            (self.second_store, "store", ["r-1"]),
            (self.warehouse, "warehouse", []),
        ]
        locations = [
            (
                id,
                {
                    "id": id,
                    "kind": kind,
                    "name": id,
                    "time_zone": "Europe/London",
                    "currency": "GBP",
                    "registers": registers,
                },
            )
            for id, kind, registers in places
        ]
        products = [(self.sku, "piece", "GBP"), (self.rice, "kg", "GBP"), (self.euro, "piece", "EUR")]
        self.upload(self.api, "locations", locations)
        self.upload(
            self.api,
            "catalog",
            [
                (sku, {"sku": sku, "name": sku, "unit_price": "2.50", "currency": currency, "unit": unit})
                for sku, unit, currency in products
            ],
        )
        self.upload(
            self.api,
            "inventory",
            [
                (f"{at}/{sku}", {"location_id": at, "sku": sku, "on_hand": on_hand})
                for at in (self.store, self.second_store)
                for sku, on_hand in ((self.sku, 1_000), (self.rice, "100.5"))
            ],
        )
        self.rules()
        stranger = Api(self.stack.endpoint(), self.tokens["stranger"])
        self.upload(stranger, "locations", [(f"x-{self.run}", {**locations[0][1], "id": f"x-{self.run}"})])
        self.carts()
        self.use_up()
        self.closed_shift, self.open_shift = self.name("sh"), self.name("sh")
        till = {"register_id": "r-2"}
        for action, payload in [
            ("open_till", {"shift_id": self.closed_shift, "amount": pounds(5_000)}),
            ("close_till", {"shift_id": self.closed_shift, "counted": pounds(5_000)}),
            ("open_till", {"shift_id": self.open_shift, "amount": pounds(5_000)}),
        ]:
            self.api.post("/v1/pos/command", self.envelope(action, payload, **till))

    def rules(self) -> None:
        """Coupons and promotions that are good, over, to come, and of one use."""
        past, future = "2020-01-01T00:00:00Z", "2199-01-01T00:00:00Z"
        tenth = {"benefit": {"percentage": {"bps": 1_000}}}
        coupons = {
            self.coupon: {},
            f"OVER-{self.run}": {"valid_to": past},
            f"SOON-{self.run}": {"valid_from": future},
            f"ONCE-{self.run}": {"total_limit": 1},
            f"EACH-{self.run}": {"per_customer_limit": 1},
        }
        self.upload(self.api, "coupons", [(code, {**tenth, **more}) for code, more in coupons.items()])
        # What ended long ago is not kept.
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        promotions = {
            self.promotion: {},
            f"over-{self.run}": {"conditions": {"valid_to": yesterday}},
            f"soon-{self.run}": {"conditions": {"valid_from": future}},
        }
        by_hand = {"name": "By hand", "automatic": False, **tenth}
        self.upload(self.api, "promotions", [(id, {**by_hand, **more}) for id, more in promotions.items()])
        self.rules_known_at = time.monotonic() + actions.RULES_SECONDS

    def wait_for_rules(self) -> None:
        """Until every process knows the promotions of this run."""
        time.sleep(max(0.0, self.rules_known_at - time.monotonic()))

    def use_up(self) -> None:
        """Sells with the coupon that is good for one sale."""
        cart = self.name("c")
        self.send("create_cart", cart_id=cart)
        self.send("add_line_item", cart_id=cart, sku=self.sku, quantity=1)
        self.send("apply_coupon", cart_id=cart, coupon_code=f"ONCE-{self.run}")
        due = self.send("set_tendering", cart_id=cart)["cart"]["totals"]["due"]
        expect(due["amount"] == 225, f"a tenth off 2.50 leaves {due}")
        self.send("add_payment", cart_id=cart, tender="card", amount=due)
        self.send("finalize_order", cart_id=cart)

    def upload(self, api, entity: str, records: list) -> None:
        import replay

        for chunk in replay.chunks(entity, records, 1):
            replay.upload(api, entity, chunk)

    def carts(self) -> None:
        self.makers.clear()
        line = {"sku": self.sku, "quantity": 1}
        self.empty = self.make("create_cart", "cart_id")
        self.open = self.make("create_cart", "cart_id")
        self.send("add_line_item", cart_id=self.open, **line)
        self.tendering = self.make("create_cart", "cart_id")
        self.send("add_line_item", cart_id=self.tendering, **line)
        self.send("set_tendering", cart_id=self.tendering)
        self.paid = self.paid_cart()
        # Half of it is paid, so that it can neither be edited nor finalised.
        self.half_paid = self.make("create_cart", "cart_id")
        self.send("add_line_item", cart_id=self.half_paid, **line)
        self.send("set_tendering", cart_id=self.half_paid)
        self.send("add_payment", cart_id=self.half_paid, tender="card", amount=pounds(100))
        self.final = self.paid_cart()
        self.finalising = self.envelope("finalize_order", {"cart_id": self.final})
        self.consistency_token = self.api.post("/v1/pos/command", self.finalising).body["consistency_token"]
        self.voided = self.make("create_cart", "cart_id")
        self.send("add_line_item", cart_id=self.voided, **line)
        self.send("void_cart", cart_id=self.voided)
        self.returning = self.make("start_return", "return_id", original_order_id=self.final, reason="torn")
        self.blind = self.make("start_return", "return_id", reason="no receipt")
        # A return with a line and no refund.
        self.unrefunded = self.make("start_return", "return_id", original_order_id=self.final, reason="torn")
        self.send(
            "return_line_item", return_id=self.unrefunded, line_id="l-1", quantity=1, disposition="none"
        )
        self.reservation = self.name("hold")
        hold = {"reservation_id": self.reservation, "lines": [self.stock_line(3)], "ttl_seconds": 3600}
        self.change("/v1/inventory/reserve", **hold)
        self.open_count, self.closed_count = self.name("count"), self.name("count")
        for count in (self.open_count, self.closed_count):
            self.change("/v1/inventory/counts", count_id=count, location_id=self.second_store, skus=[self.sku])
        self.change(f"/v1/inventory/counts/{self.closed_count}/cancel", reason="the wrong shelf")
        self.supplier, self.open_purchase = self.name("sup"), self.name("po")
        self.closed_purchase, self.received_purchase = self.name("po"), self.name("po")
        terms = {"name": "Tea Ltd", "lead_time_days": 7, "currency": "GBP", "over_delivery_percent": 10}
        self.change("/v1/suppliers", id=self.supplier, **terms)
        for order in (self.open_purchase, self.closed_purchase, self.received_purchase):
            self.change("/v1/purchase-orders", purchase_order_id=order, **self.purchase())
        self.change(f"/v1/purchase-orders/{self.closed_purchase}/close", reason="sold out there")
        some = [{"sku": self.sku, "quantity": 4}]
        self.change(f"/v1/purchase-orders/{self.received_purchase}/receive", lines=some)
        self.second_order, self.second_key = self.name("o"), {"Idempotency-Key": self.name("k")}
        self.api.post("/v1/orders", self.order(order_id=self.second_order), self.second_key)

    def change(self, path: str, **body) -> dict:
        return self.api.post(path, body, {"Idempotency-Key": self.name("k")})

    def purchase(self, **changed) -> dict:
        line = {"sku": self.sku, "quantity": 10}
        order = {"supplier_id": self.supplier, "location_id": self.store, "lines": [line], **changed}
        return {key: value for key, value in order.items() if value is not None}

    def paid_cart(self) -> str:
        cart = self.make("create_cart", "cart_id")
        self.send("add_line_item", cart_id=cart, sku=self.sku, quantity=1)
        self.send("set_tendering", cart_id=cart)
        self.send("add_payment", cart_id=cart, tender="card", amount=pounds(250))
        return cart

    def make(self, action: str, id_name: str, /, **payload) -> str:
        id = self.name("c")
        self.makers[id] = self.envelope(action, {id_name: id, **payload})
        self.api.post("/v1/pos/command", self.makers[id])
        return id

    def name(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}-{self.run}-{self.serial}"

    def envelope(self, action: str, payload, /, **changed) -> dict:
        return {
            "version": "1",
            "idempotency_key": self.name("k"),
            "store_id": self.store,
            "register_id": "r-1",
            "action": action,
            "payload": payload,
            **changed,
        }

    def send(self, action: str, /, **payload):
        return self.api.post("/v1/pos/command", self.envelope(action, payload)).body

    def stock_line(self, quantity, **changed) -> dict:
        return {"location_id": self.store, "sku": self.sku, "quantity": quantity, **changed}

    def stock_update(self, **changed) -> dict:
        update = {
            "location_id": self.store,
            "sku": self.sku,
            "kind": "delta",
            "quantity": 5,
            "reason": "found",
        }
        return {**update, **changed}

    def line(self, quantity=1, **changed) -> dict:
        return {"cart_id": self.open, "sku": self.sku, "quantity": quantity, **changed}

    def order(self, **changed) -> dict:
        lines = [{"sku": self.sku, "quantity": 1}]
        return {"store_id": self.store, "channel": "web", "lines": lines, **changed}

    def state(self) -> dict[str, object]:
        """Everything a client can see of what the cases aim at."""
        shown: dict[str, object] = {
            id: self.api.post("/v1/pos/command", maker).body["cart"] for id, maker in self.makers.items()
        }
        for store in (self.store, self.second_store):
            shown[f"stock of {store}"] = list(self.api.pages(f"/v1/locations/{store}/inventory"))
            shown[f"orders of {store}"] = list(self.api.pages("/v1/orders", store_id=store))
            shifts = [shift["id"] for shift in self.api.pages("/v1/shifts", store_id=store)]
            for shift in shifts:
                seen = self.api.get(f"/v1/shifts/{shift}")
                # As of when it was asked is all that may change.
                shown[f"shift {shift}"] = {**seen, "report": {**seen["report"], "as_of": None}}
            shown[f"shifts of {store}"] = shifts
        for sku in (self.sku, self.rice, self.euro):
            shown[f"product {sku}"] = self.api.get(f"/v1/products/{sku}")
        shown["products"] = self.api.get("/v1/products", limit=200)
        shown["locations"] = list(self.api.pages("/v1/locations"))
        shown["reservation"] = self.api.get(f"/v1/inventory/reservations/{self.reservation}")
        for order in (self.open_purchase, self.closed_purchase, self.received_purchase):
            shown[f"purchase order {order}"] = self.api.get(f"/v1/purchase-orders/{order}")
        shown["suppliers"] = list(self.api.pages("/v1/suppliers"))
        for count in (self.open_count, self.closed_count):
            shown[f"count {count}"] = self.api.get(f"/v1/inventory/counts/{count}")
        return shown

    # Requests

    def command(self, action: str, payload, token: str | None = "operator", /, **changed) -> Request:
        return Request("POST", "/v1/pos/command", self.envelope(action, payload, **changed), token=token)

    def keyed(self, method: str, path: str, body=None, token: str | None = "operator", **headers) -> Request:
        return Request(method, path, body, {"Idempotency-Key": self.name("k"), **headers}, token)

    def ask(self, path: str, token: str | None = "operator") -> Request:
        return Request("GET", path, token=token)

    def answer(self, request: Request) -> Answer:
        """One attempt, on a connection that is kept while it can be."""
        headers = {"Content-Type": "application/json", **request.headers}
        if request.token is not None:
            token = self.tokens.get(request.token, request.token)
            headers.setdefault("Authorization", f"Bearer {token}")
        for fresh in (False, True):
            if self.connection is None:
                host, port = self.parts.hostname, self.parts.port
                self.connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS_MAX)
            try:
                path = self.parts.path.rstrip("/") + request.path
                self.connection.request(request.method, path, request.data(), headers)
                response = self.connection.getresponse()
                content = response.read()
                break
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # A kept connection may have been closed meanwhile; a new one that closes is an answer.
                self.close()
                if fresh:
                    raise
            except Exception:
                self.close()
                raise
        received = {name.lower(): value for name, value in response.getheaders()}
        if request.method == "HEAD" or received.get("connection", "").lower() == "close":
            self.close()
        return Answer(response.status, received, content.decode(errors="replace"))

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def work_off(self, table: Table) -> list[str]:
        """Sends every case and looks whether anything changed; answers what was wrong. What was answered
        as a success is looked at once, refusals together at the end."""
        started, failures = time.monotonic(), []
        before, cases = self.state(), list(table.make())

        def changes() -> str:
            nonlocal before
            last, before = before, self.state()
            changed = [name for name in before if before[name] != last.get(name)]
            return f"it changed {', '.join(changed)}" if changed else ""

        for position in range(len(cases)):
            case = cases[position]
            try:
                answer = self.answer(case.request)
                wrongs, got = list(case.wrongs(answer)), f"{answer.status} {answer.text[:300]}"
            except (OSError, http.client.HTTPException) as error:
                answer, wrongs, got = None, ["no answer"], repr(error)
            if answer is None or (answer.status < 400 and case.request.method not in ("GET", "HEAD")):
                wrongs += filter(None, [changes()])
                # What follows needs the world that this case may have spoilt.
                self.carts()
                before, cases = self.state(), list(table.make())
            if wrongs:
                failures.append(f"{table.title}: {case.name}: {'; '.join(wrongs)}")
                sent = (case.request.data() or b"")[:300].decode(errors="replace")
                note(f"WRONG {failures[-1]}")
                note(f"      sent {case.request.method} {case.request.path[:200]} {sent}")
                note(f"      got  {got}")
        if changed := changes():
            failures.append(f"{table.title}: after its refusals: {changed}")
            note(f"WRONG {failures[-1]}")
        seconds = time.monotonic() - started
        note(f"{table.title}: {len(cases)} cases, {len(failures)} wrong ({seconds:.1f} s)")
        return failures
