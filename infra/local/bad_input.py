"""A hostile client: everything that can be wrong with a request, a token, an upload or a record. Each has
an answer of its own that says what was wrong, and nothing is changed by it.

    bad_input.py [--directory target/local]      against a running stack

The cases are tables: a name, a request, the status and the code that a client must get.
"""

import argparse
import base64
import gzip
import hashlib
import hmac
import http.client
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, urlsplit

import prerequisites
from prerequisites import ROOT
from progress import Failure, fail, note

TENANT = "rubbish"
OTHER_TENANT = "rubbish-other"
ANSWER_SECONDS_MAX = 29  # API Gateway gives up after 30.
FIGURES_SECONDS_MAX = 30
PARKED_SECONDS_MAX = 60
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


def run(stack) -> None:
    """Every table and check; raises one AssertionError that lists all that was answered wrongly."""
    client = HostileClient(stack)
    client.load()
    failures: list[str] = []
    for table in client.tables():
        failures += client.work_off(table)
    for check in client.checks():
        started = time.monotonic()
        try:
            said = check()
            note(f"{check.__name__}: {said} ({time.monotonic() - started:.1f} s)")
        except (AssertionError, Failure, OSError, http.client.HTTPException) as error:
            failures.append(f"{check.__name__}: {str(error) or repr(error)}")
            note(f"WRONG {failures[-1]}")
    if failures:
        raise AssertionError(f"{len(failures)} answers to bad input were wrong:\n  " + "\n  ".join(failures))


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

    def __init__(self, stack):
        from api import Api

        self.stack = stack
        self.key = stack.signing_key()
        self.run = secrets.token_hex(4)
        self.began_millis = int(time.time() * 1000)
        self.serial = 0
        self.store, self.second_store, self.warehouse = (f"{kind}-{self.run}" for kind in ("s", "t", "w"))
        self.sku, self.rice, self.euro = (f"{name}-{self.run}" for name in ("tea", "rice", "euro"))
        self.tokens = {
            "operator": stack.token(TENANT, "operator", ["*"]),
            "manager": stack.token(TENANT, "store_manager", [self.store]),
            "cashier": stack.token(TENANT, "cashier", [self.store]),
            "till": self.key.token(TENANT, "cashier", [self.store], "r-1"),
            "warehouse": stack.token(TENANT, "warehouse_staff", ["*"]),
            "analyst": stack.token(TENANT, "analyst", ["*"]),
            "integration": stack.token(TENANT, "integration", ["*"]),
            "nobody": stack.token(TENANT, "superuser", ["*"]),
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
        stranger = Api(self.stack.endpoint(), self.tokens["stranger"])
        self.upload(stranger, "locations", [(f"x-{self.run}", {**locations[0][1], "id": f"x-{self.run}"})])
        self.carts()

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
        self.api.post("/v1/inventory/reserve", hold, {"Idempotency-Key": self.name("k")})
        self.second_order, self.second_key = self.name("o"), {"Idempotency-Key": self.name("k")}
        self.api.post("/v1/orders", self.order(order_id=self.second_order), self.second_key)

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
        for sku in (self.sku, self.rice, self.euro):
            shown[f"product {sku}"] = self.api.get(f"/v1/products/{sku}")
        shown["products"] = self.api.get("/v1/products", limit=200)
        shown["locations"] = list(self.api.pages("/v1/locations"))
        shown["reservation"] = self.api.get(f"/v1/inventory/reservations/{self.reservation}")
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

    # Tables

    def tables(self) -> Iterator[Table]:
        yield Table("bodies that are no JSON", self.bodies)
        yield Table("envelopes", self.envelopes)
        yield Table("idempotency keys", self.idempotency_keys)
        yield Table("things that are not there", self.unknown_things)
        yield Table("quantities, prices and amounts", self.numbers)
        yield Table("card numbers and texts", self.texts)
        yield Table("states of a cart", self.cart_states)
        yield Table("tokens", self.bad_tokens)
        yield Table("every route without a token", self.routes_without_token)
        yield Table("roles and stores", self.reach)
        yield Table("another tenant's token", self.another_tenant)
        yield Table("stock", self.stock_requests)
        yield Table("lists: limits and cursors", self.lists)
        yield Table("days and filters", self.days)
        yield Table("paths and methods", self.paths)
        yield Table("too large", self.sizes)
        yield Table("feeds", self.feeds)

    def bodies(self) -> Iterator[Case]:
        update = self.stock_update()
        routes = [
            ("POST", "/v1/pos/command", json.dumps(self.envelope("set_tendering", {"cart_id": self.open}))),
            ("POST", "/v1/pos/commands", json.dumps({"commands": []})),
            ("POST", "/v1/orders", json.dumps(self.order())),
            ("POST", "/v1/inventory/update", json.dumps(update)),
            ("POST", "/v1/inventory/reserve", json.dumps({"lines": [self.stock_line(1)], "ttl_seconds": 9})),
            ("POST", "/v1/locations", json.dumps({"id": f"n-{self.run}"})),
            ("PUT", f"/v1/products/{self.sku}", json.dumps({"name": "n"})),
            ("POST", "/v1/dispatch/dead-letters/replay", json.dumps({"limit": 1})),
        ]
        for method, path, good in routes:
            middle = good[:-1]
            bodies = [
                ("cut off", middle.encode()),
                ("no body", None),
                ("empty", b""),
                ("text", b"hello"),
                ("a number with a tail", b"7 7"),
                ("two documents", (good + good).encode()),
                ("100,000 arrays deep", b"[" * 100_000),
                ("100,000 objects deep", b'{"a":' * 100_000),
                ("deep within a member", (middle + ',"x":' + "[" * 100_000).encode()),
                ("a byte order mark", b"\xef\xbb\xbf" + good.encode()),
                ("UTF-16", good.encode("utf-16")),
                ("NaN", (middle + ',"x":NaN}').encode()),
                ("a comment", b"/* x */" + good.encode()),
                ("a trailing comma", (middle + ",}").encode()),
                ("single quotes", good.replace('"', "'").encode()),
            ]
            for name, body in bodies:
                # An absent body may stand for no filters; there is nothing it could change.
                yield Case(f"{path}: {name}", self.keyed(method, path, body), 400, "json_malformed")
            # JSON by its grammar, but nothing that can be held. (The emulator replaces what is not UTF-8.)
            for name, body in [
                ("not UTF-8", good.encode().replace(b'"', b'"\xff', 1)),
                ("a lone surrogate", (middle + ',"x":"\\ud800"}').encode()),
                ("1e400", (middle + ',"x":1e400}').encode()),
            ]:
                codes = ("json_malformed", "field_invalid")
                yield Case(f"{path}: {name}", self.keyed(method, path, body), (400, 422), codes)
            for name, body in [
                ("an array", b"[]"),
                ("null", b"null"),
                ("a text", b'"x"'),
                ("a number", b"7"),
            ]:
                codes = ("json_malformed", "field_invalid")
                yield Case(f"{path}: {name}", self.keyed(method, path, body), (400, 422), codes)
        wrong = ("json_malformed", "field_invalid")
        positional = [
            ("/v1/inventory/update", [self.store, self.sku, "delta", 5, "found", None]),
            ("/v1/inventory/reserve", [None, [[self.store, self.sku, 1]], 900, None]),
            ("/v1/orders", [None, self.store, "web", None, [[self.sku, 1, None]], [], None]),
        ]
        for path, body in positional:
            yield Case(f"{path}: members by position", self.keyed("POST", path, body), (400, 422), wrong)
        repeated = [
            ("/v1/inventory/update", update, '"quantity": 5', '"quantity": 5, "quantity": 50'),
            ("/v1/orders", self.order(), '"quantity": 1', '"quantity": 1, "quantity": 2'),
            (
                "/v1/pos/command",
                self.envelope("add_line_item", self.line(1)),
                '"quantity": 1',
                '"quantity": 1, "quantity": 2',
            ),
            (
                "/v1/pos/command",
                self.envelope("void_cart", {"cart_id": self.open}),
                '"action": "void_cart"',
                '"action": "set_tendering", "action": "void_cart"',
            ),
        ]
        for path, good, once, twice in repeated:
            text = json.dumps(good)
            expect(once in text, f"{once} is not in {text}")
            request = self.keyed("POST", path, text.replace(once, twice, 1))
            yield Case(f"{path}: a member twice: {twice}", request, (400, 422), wrong)

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

    def envelopes(self) -> Iterator[Case]:
        def changed(name: str, code: str | tuple, status: int, member: str | None, **members) -> Case:
            return Case(name, self.command("add_line_item", self.line(), **members), status, code, member)

        yield changed("unknown action", "unknown_action", 422, "action", action="sell")
        yield changed("action in capitals", "unknown_action", 422, "action", action="ADD_LINE_ITEM")
        yield changed("no action", "unknown_action", 422, "action", action="")
        yield changed("a card number as action", "unknown_action", 422, "action", action=CARD)
        for version in ("2", "1.0", "", "v1"):
            yield changed(f"version {version!r}", "unsupported_version", 422, "version", version=version)
        for version in (1, None, [], {}):
            yield changed(f"version {version!r}", "field_invalid", 422, "version", version=version)
        for name in ("store_id", "register_id", "action", "idempotency_key"):
            for wrong in (7, [], {}, True):
                yield changed(f"{name} {wrong!r}", "field_invalid", 422, name, **{name: wrong})
        for name in ("store_id", "register_id", "employee_id"):
            for wrong in (
                "",
                "a b",
                "a#b",
                "a/b",
                "../x",
                "a\u0000b",
                "é",
                "x" * 65,
                "-x",
                "%23",
                "x" * 10_000,
            ):
                yield changed(f"{name} {wrong[:20]!r}", "id_malformed", 422, name, **{name: wrong})
        for name in ("store_id", "register_id", "action", "payload", "version"):
            envelope = {key: value for key, value in self.envelope("x", {}).items() if key != name}
            yield Case(
                f"without {name}", Request("POST", "/v1/pos/command", envelope), 422, "field_invalid", name
            )
        yield changed("an unknown member", "field_invalid", 422, "tenant_id", tenant_id="demo")
        yield changed("reply of an unknown kind", "field_invalid", 422, "reply", reply="everything")
        for at in (
            "yesterday",
            "2010-02-30T00:00:00Z",
            "2010-12-01T08:26:00",
            1291191960,
            "9999-99-99T00:00:00Z",
        ):
            yield changed(f"occurred_at {at!r}", "field_invalid", 422, "occurred_at", occurred_at=at)
        yield changed(
            "in the future", "occurred_at_in_future", 422, "occurred_at", occurred_at="2199-01-01T00:00:00Z"
        )
        yield changed(
            "before 1970", "occurred_at_too_old", 422, "occurred_at", occurred_at="1969-01-01T00:00:00Z"
        )
        for payload in ([], None, 7, "x"):
            yield changed(f"payload {payload!r}", "field_invalid", 422, "payload", payload=payload)
        for member, wrong in [
            ("cart_id", 7),
            ("sku", 7),
            ("sku", []),
            ("notes", 7),
            ("approval_id", {}),
            ("quantity", None),
            ("quantity", True),
            ("quantity", []),
            ("quantity", {}),
            ("unit_price_override", 2.55),
        ]:
            request = self.command("add_line_item", self.line(**{member: wrong}))
            yield Case(f"{member} {wrong!r}", request, 422, "field_invalid", f"payload.{member}")
        request = self.command("add_line_item", self.line(discount=5))
        yield Case("an unknown member of the payload", request, 422, "field_invalid", "payload.discount")
        batches = [
            ("no commands", {"commands": []}, "batch_size"),
            ("1,001 commands", {"commands": [{}] * 1_001}, "batch_size"),
            ("commands that are no list", {"commands": {}}, "field_invalid"),
            ("without commands", {}, "field_invalid"),
            ("an unknown member", {"commands": [{}], "x": 1}, "field_invalid"),
        ]
        for name, body, code in batches:
            yield Case(f"batch: {name}", Request("POST", "/v1/pos/commands", body), 422, code)

    def idempotency_keys(self) -> Iterator[Case]:
        missing, malformed = "idempotency_key_missing", "idempotency_key_malformed"
        envelope = self.envelope("add_line_item", self.line())
        without = {name: value for name, value in envelope.items() if name != "idempotency_key"}
        yield Case("command without", Request("POST", "/v1/pos/command", without), 400, missing)
        for name, key, status, code in [
            ("null", None, 400, missing),
            ("empty", "", 400, missing),
            ("129 characters", "x" * 129, 422, malformed),
            ("10,000 characters", "x" * 10_000, 422, malformed),
            ("not ASCII", "ключ", 422, malformed),
            ("a control character", "a\u0001b", 422, malformed),
            ("a line break", "a\nb", 422, malformed),
        ]:
            yield Case(
                f"command: {name}",
                self.command("add_line_item", self.line(), idempotency_key=key),
                status,
                code,
            )
        routes = [
            ("POST", "/v1/inventory/update", self.stock_update()),
            ("POST", "/v1/inventory/reserve", {"lines": [self.stock_line(1)], "ttl_seconds": 60}),
            ("POST", f"/v1/inventory/reservations/{self.reservation}/commit", {}),
            ("POST", f"/v1/inventory/reservations/{self.reservation}/release", {}),
            ("POST", f"/v1/inventory/reservations/{self.reservation}/extend", {"ttl_seconds": 7200}),
            ("POST", "/v1/orders", self.order()),
            ("POST", "/v1/dispatch/dead-letters/replay", {}),
            (
                "POST",
                "/v1/locations",
                {"id": f"n-{self.run}", "kind": "store", "name": "n", "time_zone": "UTC", "currency": "GBP"},
            ),
            ("PUT", f"/v1/products/n-{self.run}", {"name": "n", "unit_price": "1", "currency": "GBP"}),
        ]
        for method, path, body in routes:
            yield Case(f"{path}: none", Request(method, path, body), 400, missing)
            for name, key in [("empty", ""), ("129 characters", "x" * 129), ("not ASCII", b"\xc3\xa9")]:
                request = Request(method, path, body, {"Idempotency-Key": key})
                status, code = ((400, 422), (missing, malformed)) if key == "" else (422, malformed)
                yield Case(f"{path}: {name}", request, status, code)
        reused = "idempotency_key_reused"
        used = self.makers[self.open]
        other_payload = {**used, "payload": {**used["payload"], "channel": "web"}}
        yield Case(
            "create_cart: used with another payload",
            Request("POST", "/v1/pos/command", other_payload),
            422,
            reused,
        )
        other_action = {**self.finalising, "action": "void_cart"}
        yield Case("used with another action", Request("POST", "/v1/pos/command", other_action), 422, reused)
        other_order = self.order(order_id=self.second_order, channel="mobile")
        order = Request("POST", "/v1/orders", other_order, self.second_key)
        yield Case("order: used with another payload", order, 422, reused)

    def unknown_things(self) -> Iterator[Case]:
        nothing = f"nothing-{self.run}"
        cart_actions = {
            "set_customer": {"customer_id": None},
            "add_line_item": {"sku": self.sku, "quantity": 1},
            "update_line_item": {"line_id": "l-1", "quantity": 2},
            "remove_line_item": {"line_id": "l-1"},
            "set_tendering": {},
            "resume_editing": {},
            "add_payment": {"tender": "card", "amount": pounds(1)},
            "remove_payment": {"payment_id": "p-1"},
            "finalize_order": {},
            "void_cart": {},
        }
        for action, more in cart_actions.items():
            request = self.command(action, {"cart_id": nothing, **more})
            yield Case(f"{action}: unknown cart", request, 404, "cart_not_found")
            for wrong in ("a#b", "a/b", "", "x" * 65, f"{self.open}#cart", "..", "é"):
                request = self.command(action, {"cart_id": wrong, **more})
                yield Case(f"{action}: cart {wrong[:20]!r}", request, 422, "id_malformed", "payload.cart_id")
        for action, more in {
            "return_line_item": {"line_id": "l-1", "quantity": 1, "disposition": "none"},
            "refund_tender": {"tender": "card", "amount": pounds(1)},
            "finalize_return": {},
            "void_return": {},
        }.items():
            request = self.command(action, {"return_id": nothing, **more})
            yield Case(f"{action}: unknown return", request, 404, ("cart_not_found", "return_not_found"))
        for action, payload in (("create_cart", {}), ("start_return", {"reason": "torn"})):
            unknown = [
                ("store", {"store_id": nothing}, "store_not_found"),
                ("store that is a warehouse", {"store_id": self.warehouse}, "store_not_found"),
                ("register", {"register_id": nothing}, "register_not_found"),
            ]
            for name, changed, code in unknown:
                yield Case(f"{action}: unknown {name}", self.command(action, payload, **changed), 404, code)
        line = self.line()
        for name, payload, status, code in [
            ("unknown SKU", {**line, "sku": nothing}, 404, "sku_not_found"),
            ("SKU with a key separator", {**line, "sku": f"{self.sku}#product"}, 404, "sku_not_found"),
            ("SKU with a slash", {**line, "sku": f"../{self.sku}"}, 404, "sku_not_found"),
            ("empty SKU", {**line, "sku": ""}, 422, "sku_malformed"),
            ("SKU of 65 bytes", {**line, "sku": "x" * 65}, 422, "sku_malformed"),
            ("SKU with a control character", {**line, "sku": "a\u0000b"}, 422, "sku_malformed"),
            ("SKU with a space behind", {**line, "sku": f"{self.sku} "}, 422, "sku_malformed"),
            ("no SKU and no barcode", {"cart_id": self.open, "quantity": 1}, 422, "sku_or_barcode_required"),
            ("SKU and barcode", {**line, "barcode": "4006381333931"}, 422, "sku_or_barcode_required"),
            (
                "unknown barcode",
                {"cart_id": self.open, "barcode": "4006381333931", "quantity": 1},
                404,
                "barcode_not_found",
            ),
            (
                "wrong check digit",
                {"cart_id": self.open, "barcode": "4006381333932", "quantity": 1},
                422,
                "barcode_malformed",
            ),
            (
                "SKU priced in another currency",
                {**line, "sku": self.euro},
                422,
                ("product_unpriced", "currency_mismatch"),
            ),
        ]:
            yield Case(name, self.command("add_line_item", payload), status, code)
        for line_id in ("l-2", "l-0", "x", "", "l-99999999999999999999", "l--1"):
            for action, more in (("update_line_item", {"quantity": 2}), ("remove_line_item", {})):
                request = self.command(action, {"cart_id": self.open, "line_id": line_id, **more})
                yield Case(f"{action}: line {line_id!r}", request, 404, "line_not_found")
        for payment_id in ("p-2", "x", "", "p-99999999999999999999"):
            request = self.command("remove_payment", {"cart_id": self.half_paid, "payment_id": payment_id})
            yield Case(f"payment {payment_id!r}", request, 404, "payment_not_found")
        head = {"reason": "torn"}
        request = self.command("start_return", {"original_order_id": nothing, **head})
        yield Case("return of an unknown order", request, 404, "order_not_found")
        request = self.command("start_return", {"original_order_id": self.paid, **head})
        yield Case("return of what is not final", request, 409, "order_not_final")
        for name, changed, status, code in [
            ("store", {"store_id": nothing}, 404, "store_not_found"),
            ("warehouse as store", {"store_id": self.warehouse}, 404, "store_not_found"),
            ("SKU", {"lines": [{"sku": nothing, "quantity": 1}]}, 404, "sku_not_found"),
            ("reservation", {"reservation_id": nothing}, 404, "reservation_not_found"),
        ]:
            yield Case(
                f"order: unknown {name}",
                self.keyed("POST", "/v1/orders", self.order(**changed)),
                status,
                code,
            )
        for path, code in [
            (f"/v1/orders/{nothing}", "order_not_found"),
            (f"/v1/orders/{self.paid}", "order_not_found"),
            (f"/v1/products/{nothing}", "sku_not_found"),
            (f"/v1/locations/{nothing}", "location_not_found"),
            (f"/v1/locations/{nothing}/inventory", "location_not_found"),
            (f"/v1/inventory/{self.store}/{nothing}", "stock_not_found"),
            (f"/v1/inventory/{nothing}/{self.sku}", ("stock_not_found", "location_not_found")),
            (f"/v1/inventory/reservations/{nothing}", "reservation_not_found"),
            (f"/v1/dispatch/deliveries/{nothing}.1", "delivery_not_found"),
            (f"/v1/dispatch/dead-letters/{nothing}.1", ("dead_letter_not_found", "delivery_not_found")),
            (f"/v1/analytics/dashboard?store_id={nothing}", "store_not_found"),
            (f"/v1/analytics/sales?store_id={nothing}", "store_not_found"),
            (f"/v1/analytics/products?store_id={nothing}", "store_not_found"),
            (f"/v1/orders?store_id={nothing}", "store_not_found"),
        ]:
            yield Case(f"GET {path}", self.ask(path), 404, code)

    def numbers(self) -> Iterator[Case]:
        invalid, malformed = "quantity_invalid", "field_invalid"

        def raw(name: str, text: str, status, code, sku: str | None = None) -> Iterator[Case]:
            """Python would not write such numbers, so they are put into the text."""
            for action, payload in [
                ("add_line_item", {**self.line("@"), "sku": sku or self.sku}),
                ("update_line_item", {"cart_id": self.open, "line_id": "l-1", "quantity": "@"}),
            ]:
                if sku and action == "update_line_item":
                    continue
                body = json.dumps(self.envelope(action, payload)).replace('"@"', text)
                yield Case(
                    f"{action}: quantity {name}", Request("POST", "/v1/pos/command", body), status, code
                )
            for path, body in [
                ("/v1/orders", self.order(lines=[{"sku": sku or self.sku, "quantity": "@"}])),
                (
                    "/v1/inventory/reserve",
                    {"lines": [self.stock_line("@", sku=sku or self.sku)], "ttl_seconds": 9},
                ),
            ]:
                request = self.keyed("POST", path, json.dumps(body).replace('"@"', text))
                yield Case(f"{path}: quantity {name}", request, status, code)

        for text in (
            "0",
            "-1",
            "1000001",
            "1000000000000",
            "9223372036854775808",
            '"2"',
            '"1.5"',
            '""',
            '"abc"',
        ):
            yield from raw(text, text, 422, invalid)
        for text in ("1.5", "1.0", "1e3", "1e18", "null", "true", "[]", "{}"):
            # A null in an update is as good as an absent quantity.
            yield from raw(text, text, 422, (malformed, invalid, "nothing_to_update"))
        for text in ("NaN", "Infinity", "-Infinity", "1e400", "0x10", "01", "+1", "1_000", ".5"):
            yield from raw(text, text, (400, 422), ("json_malformed", malformed))
        for text in (
            "1",
            '"0"',
            '"0.000"',
            '"-0.5"',
            '"0.4825"',
            '"1e2"',
            '"1,5"',
            '" 1"',
            '"٣"',
            '"NaN"',
            '"1000001"',
        ):
            yield from raw(f"{text} of what is weighed", text, 422, invalid, self.rice)
        for price in (
            "1.23456",
            "-1",
            "-0.01",
            "1000000",
            "1e3",
            "",
            "NaN",
            "1,50",
            " 1",
            "0x1",
            "1.",
            ".5",
            "+1",
        ):
            request = self.command("add_line_item", self.line(unit_price_override=price))
            yield Case(f"price {price!r}", request, 422, malformed, "payload.unit_price_override")
            request = self.keyed(
                "POST",
                "/v1/orders",
                self.order(lines=[{"sku": self.sku, "quantity": 1, "unit_price": price}]),
            )
            yield Case(f"order: price {price!r}", request, 422, malformed, "lines[0].unit_price")
            line = {
                "return_id": self.blind,
                "sku": self.sku,
                "quantity": 1,
                "disposition": "none",
                "unit_price": price,
            }
            yield Case(
                f"blind return: price {price!r}", self.command("return_line_item", line), 422, malformed
            )
        request = self.command("add_line_item", self.line(1_000_000, unit_price_override="999999.9999"))
        yield Case("a line above all amounts", request, 422, "amount_out_of_range")
        lines = [{"sku": self.sku, "quantity": 1_000_000, "unit_price": "999999.9999"}]
        yield Case(
            "an order above all amounts",
            self.keyed("POST", "/v1/orders", self.order(lines=lines)),
            422,
            "amount_out_of_range",
        )
        for name, amount, status, code in [
            ("0", pounds(0), 422, "amount_not_positive"),
            ("-1", pounds(-1), 422, "amount_not_positive"),
            ("a fraction", pounds(1.5), 422, malformed),
            ("a text", pounds("100"), 422, malformed),
            ("null", None, 422, malformed),
            ("a bare number", 100, 422, malformed),
            ("without a currency", {"amount": 100}, 422, malformed),
            ("of another currency", {"amount": 100, "currency": "EUR"}, 422, "currency_mismatch"),
            (
                "of an unknown currency",
                {"amount": 100, "currency": "ZZZ"},
                422,
                ("currency_mismatch", malformed),
            ),
            ("of a currency in small letters", {"amount": 100, "currency": "gbp"}, 422, malformed),
            ("above 10^12", pounds(10**12 + 1), 422, ("amount_out_of_range", malformed)),
            ("2^63", pounds(2**63), 422, ("amount_out_of_range", malformed)),
            ("10^30", pounds(10**30), (400, 422), ("amount_out_of_range", malformed, "json_malformed")),
            ("with an unknown member", {**pounds(100), "x": 1}, 422, malformed),
        ]:
            for action, payload in [
                ("add_payment", {"cart_id": self.tendering, "tender": "cash", "amount": amount}),
                ("refund_tender", {"return_id": self.unrefunded, "tender": "card", "amount": amount}),
            ]:
                yield Case(f"{action}: {name}", self.command(action, payload), status, code)
        paying = {"cart_id": self.tendering, "tender": "card", "amount": pounds(250)}
        for name, changed, status, code in [
            ("above what is due, by card", {"amount": pounds(251)}, 409, "overpaid"),
            ("above what is due, by voucher", {"amount": pounds(251), "tender": "voucher"}, 409, "overpaid"),
            ("a negative tip", {"tip": pounds(-1)}, 422, "amount_not_positive"),
            (
                "a tip of another currency",
                {"tip": {"amount": 1, "currency": "EUR"}},
                422,
                "currency_mismatch",
            ),
            ("a tip above 10^12", {"tip": pounds(10**12 + 1)}, 422, ("amount_out_of_range", malformed)),
            ("an unknown tender", {"tender": "shells"}, 422, "unknown_tender"),
            ("an empty tender", {"tender": ""}, 422, "unknown_tender"),
        ]:
            yield Case(f"payment: {name}", self.command("add_payment", {**paying, **changed}), status, code)
        below, above = (
            [{"tender": "card", "amount": pounds(249)}],
            [{"tender": "card", "amount": pounds(251)}],
        )
        for name, payments, code in [
            ("below the total", below, "underpaid"),
            ("above the total", above, "overpaid"),
        ]:
            yield Case(
                f"order: payment {name}",
                self.keyed("POST", "/v1/orders", self.order(payments=payments)),
                409,
                code,
            )
        for name, changed, code in [
            ("no lines", {"lines": []}, "lines_required"),
            ("lines that are no list", {"lines": {}}, malformed),
            ("an unknown member", {"total": 1}, malformed),
            ("an unknown member of a line", {"lines": [{"sku": self.sku, "quantity": 1, "x": 1}]}, malformed),
            ("an order id with a separator", {"order_id": "a#b"}, "id_malformed"),
            ("a channel with a space", {"channel": "a b"}, "id_malformed"),
            (
                "a payment of 0",
                {"payments": [{"tender": "card", "amount": pounds(0)}]},
                "amount_not_positive",
            ),
        ]:
            yield Case(f"order: {name}", self.keyed("POST", "/v1/orders", self.order(**changed)), 422, code)

    def texts(self) -> Iterator[Case]:
        refused = "card_number_refused"
        line = {"return_id": self.unrefunded, "tender": "card", "amount": pounds(250)}
        pay = {"cart_id": self.tendering, "tender": "card", "amount": pounds(250)}
        fields = [
            ("add_line_item", "notes", self.line()),
            ("update_line_item", "notes", {"cart_id": self.open, "line_id": "l-1"}),
            ("add_payment", "external_reference", pay),
            ("refund_tender", "external_reference", line),
            ("void_cart", "reason", {"cart_id": self.open}),
            ("void_return", "reason", {"return_id": self.blind}),
            ("start_return", "reason", {"original_order_id": self.final}),
        ]
        for action, name, payload in fields:
            # One way of looking serves all fields, so disguises are tried on the first.
            disguises = DISGUISED_CARDS if action == "add_line_item" else ()
            for card in (*CARDS, *disguises):
                request = self.command(action, {**payload, name: f"card {card} please"})
                yield Case(f"{action}: {name} {card!r}", request, 422, refused, f"payload.{name}")
            for title, text, code in [
                ("too long", "x" * 501, "text_too_long"),
                ("a control character", "a\u0000b", "text_malformed"),
                ("an escape sequence", "\u001b[31m", "text_malformed"),
            ]:
                request = self.command(action, {**payload, name: text})
                yield Case(f"{action}: {name} {title}", request, 422, code, f"payload.{name}")
        ids = [
            ("create_cart", "customer_id", {}),
            ("set_customer", "customer_id", {"cart_id": self.open}),
            ("create_cart", "channel", {}),
            ("add_payment", "entry_method", pay),
        ]
        for action, name, payload in ids:
            for card in (CARD, "4111-1111-1111-1111"):
                request = self.command(action, {**payload, name: card})
                yield Case(f"{action}: {name} {card!r}", request, 422, refused, f"payload.{name}")
        request = self.command("add_line_item", self.line(), employee_id=CARD)
        yield Case("employee_id", request, 422, refused, "employee_id")
        for card in CARDS:
            payments = [{"tender": "card", "amount": pounds(250), "external_reference": card}]
            yield Case(
                f"order: reference {card!r}",
                self.keyed("POST", "/v1/orders", self.order(payments=payments)),
                422,
                refused,
                "payments[0].external_reference",
            )
            yield Case(
                f"stock update: reason {card!r}",
                self.keyed("POST", "/v1/inventory/update", self.stock_update(reason=card)),
                422,
                refused,
                "reason",
            )
        for name in ("customer_id", "channel"):
            request = self.keyed("POST", "/v1/orders", self.order(**{name: CARD}))
            yield Case(f"order: {name}", request, 422, refused, name)
        request = self.command(
            "set_customer", {"cart_id": self.open, "customer_id": f"customer-{self.run}@example.com"}
        )
        yield Case("an e-mail address as customer", request, 422, "id_malformed", "payload.customer_id")
        request = self.command("set_customer", {"cart_id": self.open})
        yield Case("set_customer without one", request, 422, "field_invalid", "payload.customer_id")
        for reason in ("", "   ", "\n"):
            request = self.command("start_return", {"original_order_id": self.final, "reason": reason})
            yield Case(f"return: reason {reason!r}", request, 422, "reason_required")

    def cart_states(self) -> Iterator[Case]:
        state, line = "wrong_cart_state", {"sku": self.sku, "quantity": 1}
        for name, cart in [
            ("tendering", self.tendering),
            ("paid", self.paid),
            ("final", self.final),
            ("voided", self.voided),
        ]:
            of = {"cart_id": cart}
            yield Case(f"{name}: add a line", self.command("add_line_item", {**of, **line}), 409, state)
            yield Case(
                f"{name}: change a line",
                self.command("update_line_item", {**of, "line_id": "l-1", "quantity": 2}),
                409,
                state,
            )
            yield Case(
                f"{name}: remove a line",
                self.command("remove_line_item", {**of, "line_id": "l-1"}),
                409,
                state,
            )
            yield Case(f"{name}: set tendering", self.command("set_tendering", of), 409, state)
        for name, cart in [("final", self.final), ("voided", self.voided)]:
            of = {"cart_id": cart}
            pay = {**of, "tender": "cash", "amount": pounds(250)}
            yield Case(
                f"{name}: set customer", self.command("set_customer", {**of, "customer_id": "x"}), 409, state
            )
            yield Case(f"{name}: resume editing", self.command("resume_editing", of), 409, state)
            yield Case(f"{name}: pay", self.command("add_payment", pay), 409, state)
            yield Case(
                f"{name}: take a payment back",
                self.command("remove_payment", {**of, "payment_id": "p-1"}),
                409,
                state,
            )
            yield Case(f"{name}: finalise", self.command("finalize_order", of), 409, state)
            yield Case(f"{name}: void", self.command("void_cart", of), 409, state)
        final = "finalize_order"
        empty, half = {"cart_id": self.empty}, {"cart_id": self.half_paid}
        yield Case("finalise an empty cart", self.command(final, empty), 409, (state, "cart_empty"))
        yield Case("finalise an open cart", self.command(final, {"cart_id": self.open}), 409, state)
        yield Case(
            "finalise without payment", self.command(final, {"cart_id": self.tendering}), 409, "underpaid"
        )
        yield Case("finalise half paid", self.command(final, half), 409, "underpaid")
        yield Case("tender an empty cart", self.command("set_tendering", empty), 409, "cart_empty")
        yield Case("edit with payments", self.command("resume_editing", half), 409, "payments_present")
        pay = {"tender": "cash", "amount": pounds(1)}
        yield Case("pay an open cart", self.command("add_payment", {"cart_id": self.open, **pay}), 409, state)
        yield Case(
            "pay more than all",
            self.command("add_payment", {"cart_id": self.paid, **pay}),
            409,
            (state, "overpaid"),
        )
        nothing = self.command("update_line_item", {"cart_id": self.open, "line_id": "l-1"})
        yield Case("change nothing", nothing, 422, "nothing_to_update")
        for id in (self.open, self.final, self.returning):
            yield Case(f"create {id} again", self.command("create_cart", {"cart_id": id}), 409, "cart_exists")
        kind = "wrong_cart_kind"
        yield Case(
            "a sale's line on a return",
            self.command("add_line_item", {"cart_id": self.returning, **line}),
            409,
            kind,
        )
        yield Case("finalise a return as a sale", self.command(final, {"cart_id": self.returning}), 409, kind)
        yield Case(
            "finalise a sale as a return",
            self.command("finalize_return", {"return_id": self.paid}),
            409,
            kind,
        )
        yield Case(
            "void a sale as a return", self.command("void_return", {"return_id": self.open}), 409, kind
        )
        own = [("register", {"register_id": "r-2"}), ("store", {"store_id": self.second_store})]
        for name, changed in own:
            request = self.command("add_line_item", self.line(), **changed)
            yield Case(f"from another {name}", request, 409, f"cart_of_another_{name}")
        back = {"return_id": self.returning, "line_id": "l-1", "disposition": "restock"}
        for name, payload, status, code in [
            ("more than was sold", {**back, "quantity": 2}, 409, "return_above_sold"),
            ("nothing", {**back, "quantity": 0}, 422, "quantity_invalid"),
            ("an unknown line", {**back, "line_id": "l-9", "quantity": 1}, 404, "line_not_found"),
            ("an unknown disposition", {**back, "quantity": 1, "disposition": "eaten"}, 422, "field_invalid"),
            (
                "by SKU of a known sale",
                {
                    "return_id": self.returning,
                    "sku": self.sku,
                    "unit_price": "99",
                    "quantity": 1,
                    "disposition": "none",
                },
                (409, 422),
                "original_line_required",
            ),
            (
                "by line of a blind one",
                {**back, "return_id": self.blind, "quantity": 1},
                (409, 422),
                "sku_and_price_required",
            ),
            (
                "a blind one without a price",
                {"return_id": self.blind, "sku": self.sku, "quantity": 1, "disposition": "none"},
                422,
                "line_or_sku_required",
            ),
        ]:
            yield Case(f"return: {name}", self.command("return_line_item", payload), status, code)
        refund = {"return_id": self.unrefunded, "tender": "card", "amount": pounds(250)}
        yield Case(
            "refund above the return",
            self.command("refund_tender", {**refund, "amount": pounds(251)}),
            409,
            ("overpaid", "refund_above_paid"),
        )
        yield Case(
            "refund by a tender that was not used",
            self.command("refund_tender", {**refund, "tender": "cash"}),
            409,
            "refund_above_paid",
        )
        finish = "finalize_return"
        yield Case(
            "finalise an unrefunded return",
            self.command(finish, {"return_id": self.unrefunded}),
            409,
            "underpaid",
        )
        yield Case(
            "finalise an empty return", self.command(finish, {"return_id": self.returning}), 409, "cart_empty"
        )

    def bad_tokens(self) -> Iterator[Case]:
        import tokens

        now = int(time.time())
        claims = {
            "iss": tokens.ISSUER,
            "aud": tokens.AUDIENCE,
            "sub": "hostile",
            "iat": now,
            "exp": now + 600,
            "tenant_id": TENANT,
            "roles": ["operator"],
            "stores": ["*"],
            "scope": "",
        }
        with tempfile.TemporaryDirectory() as directory:
            stranger = tokens.SigningKey(Path(directory) / "key.pem")
        public = self.key.public_key()
        head = {"alg": "ES256", "typ": "JWT", "kid": public["kid"]}
        good = self.key.sign(claims)
        first, middle, signature = good.split(".")

        def part(value) -> str:
            return tokens.text(json.dumps(value).encode())

        def with_claims(**changed) -> str:
            return self.key.sign(
                {name: value for name, value in {**claims, **changed}.items() if value is not ...}
            )

        def forged(header: dict, signed=signature) -> str:
            return f"{part(header)}.{part(claims)}.{signed}"

        def hs256(secret: bytes) -> str:
            text = f"{part({**head, 'alg': 'HS256'})}.{part(claims)}"
            return f"{text}.{tokens.text(hmac.digest(secret, text.encode(), hashlib.sha256))}"

        without_kid = {"alg": "ES256", "typ": "JWT"}
        altered = part({**claims, "tenant_id": OTHER_TENANT})
        algorithm, malformed = "token_algorithm_refused", "token_malformed"
        signed_wrongly, claims_wrong = "token_signature_invalid", "token_claims_malformed"
        listed = [
            ("expired", with_claims(iat=now - 7200, exp=now - 60), "token_expired"),
            ("expired long ago", with_claims(exp=0), "token_expired"),
            ("without expiry", with_claims(exp=...), claims_wrong),
            ("expiry as text", with_claims(exp=str(now + 600)), claims_wrong),
            ("nbf in the future", with_claims(nbf=now + 600), "token_from_future"),
            ("iat in the future", with_claims(iat=now + 600), "token_from_future"),
            ("another issuer", with_claims(iss="https://evil.example"), "token_issuer_wrong"),
            ("without issuer", with_claims(iss=...), "token_issuer_wrong"),
            ("another audience", with_claims(aud="another-service"), "token_audience_wrong"),
            ("other audiences", with_claims(aud=["a", "b"]), "token_audience_wrong"),
            ("without audience", with_claims(aud=...), "token_audience_wrong"),
            ("without tenant", with_claims(tenant_id=...), claims_wrong),
            ("an empty tenant", with_claims(tenant_id=""), claims_wrong),
            ("a tenant with a separator", with_claims(tenant_id=f"{TENANT}#cart"), claims_wrong),
            ("a list of tenants", with_claims(tenant_id=[TENANT]), claims_wrong),
            ("without subject", with_claims(sub=...), claims_wrong),
            ("an empty subject", with_claims(sub=""), claims_wrong),
            ("roles as text", with_claims(roles="operator"), claims_wrong),
            ("a register with a separator", with_claims(register_id="a#b"), claims_wrong),
            ("1,001 stores", with_claims(stores=["x"] * 1_001), claims_wrong),
            ("another key by its own name", stranger.sign(claims), "token_key_unknown"),
            (
                "another key under the known name",
                forged(head, stranger.sign(claims).split(".")[2]),
                signed_wrongly,
            ),
            ("other claims under a good signature", f"{first}.{altered}.{signature}", signed_wrongly),
            ("a signature of zeros", forged(head, tokens.text(bytes(64))), signed_wrongly),
            ("without signature", forged(head, ""), (signed_wrongly, malformed)),
            ("a signature cut short", forged(head, signature[:40]), (signed_wrongly, malformed)),
            ("alg none", forged({**head, "alg": "none"}, ""), algorithm),
            ("alg NONE", forged({**head, "alg": "NONE"}, ""), algorithm),
            ("alg RS256", forged({**head, "alg": "RS256"}), algorithm),
            ("alg ES384", forged({**head, "alg": "ES384"}), algorithm),
            ("HS256 by the public key's JSON", hs256(json.dumps(public).encode()), algorithm),
            ("HS256 by the public key's x", hs256(public["x"].encode()), algorithm),
            ("HS256 without a secret", hs256(b""), algorithm),
            ("a critical extension", forged({**head, "crit": ["exp"]}), algorithm),
            ("without key id", forged(without_kid), "token_key_missing"),
            ("an empty key id", forged({**head, "kid": ""}), "token_key_missing"),
            ("an unknown key id", forged({**head, "kid": "unknown"}), "token_key_unknown"),
            ("a path as key id", forged({**head, "kid": "../../dev/null"}), "token_key_unknown"),
            ("a number as key id", forged({**head, "kid": 7}), malformed),
            (
                "a key of its own",
                forged({**head, "kid": "own", "jwk": stranger.public_key()}),
                "token_key_unknown",
            ),
            ("garbage", "garbage", malformed),
            ("dots", "..", malformed),
            ("four parts", f"{good}.x", malformed),
            ("a header that is no JSON", f"{tokens.text(b'x')}.{middle}.{signature}", malformed),
            ("a header that is a list", f"{part([])}.{middle}.{signature}", malformed),
            ("standard base64", f"{first}=.{middle}.{signature}", malformed),
            ("9 KB", self.key.sign({**claims, "x": "y" * 7_000}), malformed),
            ("no token behind Bearer", "", ("token_missing", malformed)),
        ]
        envelope = self.envelope("add_line_item", self.line())
        for name, token, code in listed:
            # The text is not one of the cast's names, so it is sent as it is.
            yield Case(
                name, Request("GET", "/v1/orders", headers={"Authorization": f"Bearer {token}"}), 401, code
            )
            request = Request("POST", "/v1/pos/command", envelope, {"Authorization": f"Bearer {token}"})
            yield Case(f"{name}, with a command", request, 401, code)
        missing = "token_missing"
        yield Case("none", Request("GET", "/v1/orders", token=None), 401, missing)
        for name, value in [
            ("Basic", "Basic dXNlcjpwYXNz"),
            ("no scheme", good),
            ("empty", ""),
            ("Token", f"Token {good}"),
        ]:
            request = Request("GET", "/v1/orders", headers={"Authorization": value}, token=None)
            yield Case(name, request, 401, missing)
        yield Case(
            "in the query only", Request("GET", f"/v1/orders?access_token={good}", token=None), 401, missing
        )
        # Above what API Gateway lets through in headers: its answer or ours.
        long = {"Authorization": f"Bearer {'x' * 100_000}"}
        yield Case("100 KB", Request("GET", "/v1/orders", headers=long), (400, 401, 413, 431, 494), None)
        self.secret_texts += [token for _, token, _ in listed if len(token) > 100]

    def routes_without_token(self) -> Iterator[Case]:
        paths = self.api.get("/v1/openapi.json")["paths"]
        for path, operations in sorted(paths.items()):
            for method in sorted(operations):
                operation = operations[method]
                if (
                    path in ("/v1/health", "/v1/openapi.json", "/.well-known/jwks.json")
                    or operation.get("security") == []
                ):
                    continue
                filled = path.replace("{sku}", self.sku).replace("{location_id}", self.store)
                filled = filled.replace("{entity}", "catalog").replace("{id}", self.final)
                body = None if method == "get" else b"{}"
                request = self.keyed(method.upper(), filled, body, None)
                yield Case(f"{method.upper()} {path}", request, 401, "token_missing")

    def reach(self) -> Iterator[Case]:
        role, out = "role_required", "store_out_of_reach"
        update, reserve = self.stock_update(), {"lines": [self.stock_line(1)], "ttl_seconds": 9}
        product = {"name": "n", "unit_price": "1", "currency": "GBP"}
        location = {
            "id": f"n-{self.run}",
            "kind": "store",
            "name": "n",
            "time_zone": "UTC",
            "currency": "GBP",
        }
        feed = json.dumps({"id": f"n-{self.run}", "version": 1, "op": "upsert", "data": product})
        forbidden = [
            ("nobody analyst warehouse integration", self.command("add_line_item", self.line())),
            ("nobody analyst warehouse", self.keyed("POST", "/v1/orders", self.order())),
            ("nobody analyst cashier", self.keyed("POST", "/v1/inventory/update", update)),
            ("nobody analyst", self.keyed("POST", "/v1/inventory/reserve", reserve)),
            (
                "nobody analyst",
                self.keyed("POST", f"/v1/inventory/reservations/{self.reservation}/commit", {}),
            ),
            (
                "nobody analyst",
                self.keyed("POST", f"/v1/inventory/reservations/{self.reservation}/release", {}),
            ),
            ("nobody analyst cashier warehouse", self.keyed("PUT", f"/v1/products/{self.sku}", product)),
            ("nobody analyst cashier warehouse", self.keyed("POST", "/v1/locations", location)),
            ("nobody analyst cashier warehouse manager", self.keyed("POST", "/v1/sync/catalog", feed)),
            ("nobody analyst cashier warehouse", self.ask("/v1/sync/status")),
            ("nobody analyst cashier warehouse", self.ask("/v1/dispatch/deliveries")),
            ("nobody analyst cashier warehouse", self.ask("/v1/dispatch/dead-letters")),
            ("nobody analyst cashier warehouse", self.keyed("POST", "/v1/dispatch/dead-letters/replay", {})),
            ("nobody cashier warehouse", self.ask("/v1/analytics/dashboard")),
            ("nobody cashier warehouse", self.ask("/v1/analytics/sales")),
            ("nobody warehouse", self.ask("/v1/orders")),
            ("nobody warehouse", self.ask(f"/v1/orders/{self.final}")),
            ("nobody", self.ask("/v1/inventory")),
        ]
        for roles, request in forbidden:
            for name in roles.split():
                yield Case(
                    f"{name}: {request.method} {request.path}", replace(request, token=name), 403, role
                )
        there = {"location_id": self.second_store}
        elsewhere = [
            (self.command("create_cart", {}, store_id=self.second_store), 403, out),
            (self.keyed("POST", "/v1/orders", self.order(store_id=self.second_store)), 403, out),
            (self.keyed("POST", "/v1/inventory/update", {**update, **there}), 403, out),
            (
                self.keyed(
                    "POST",
                    "/v1/inventory/reserve",
                    {"lines": [{**self.stock_line(1), **there}], "ttl_seconds": 9},
                ),
                403,
                out,
            ),
            (self.ask(f"/v1/inventory/{self.second_store}/{self.sku}"), (403, 404), (out, "stock_not_found")),
            (
                self.ask(f"/v1/locations/{self.second_store}/inventory"),
                (403, 404),
                (out, "location_not_found"),
            ),
            (self.ask(f"/v1/analytics/dashboard?store_id={self.second_store}"), 403, out),
            (self.ask(f"/v1/orders?store_id={self.second_store}"), 403, out),
            (self.ask(f"/v1/inventory/movements?location_id={self.second_store}&sku={self.sku}"), 403, out),
        ]
        for request, status, code in elsewhere:
            yield Case(
                f"another store: {request.method} {request.path}",
                replace(request, token="manager"),
                status,
                code,
            )
        till = self.command("add_line_item", self.line(), "till", register_id="r-2")
        yield Case("another register", till, 403, "register_out_of_reach")
        priced = self.line(unit_price_override="0.01")
        approved = {**priced, "approval_id": f"approval-{self.run}"}
        needed, unknown = "approval_required", "approval_not_found"
        yield Case("a price by hand", self.command("add_line_item", priced, "cashier"), 403, needed)
        yield Case("an invented approval", self.command("add_line_item", approved, "cashier"), 403, unknown)
        blind = self.command("start_return", {"reason": "torn"}, "cashier")
        yield Case("a blind return", blind, 403, needed)
        cheap = self.order(lines=[{"sku": self.sku, "quantity": 1, "unit_price": "0.01"}])
        yield Case(
            "an order with a price by hand", self.keyed("POST", "/v1/orders", cheap, "cashier"), 403, needed
        )

    def another_tenant(self) -> Iterator[Case]:
        """Whatever belongs to this tenant is not there for the other: 404, as for what never was."""
        listed = [
            (self.command("add_line_item", self.line()), "cart_not_found"),
            (self.command("void_cart", {"cart_id": self.open}), "cart_not_found"),
            (self.command("finalize_order", {"cart_id": self.paid}), "cart_not_found"),
            (self.command("create_cart", {}), "store_not_found"),
            (
                self.command(
                    "start_return",
                    {"original_order_id": self.final, "reason": "torn"},
                    store_id=f"x-{self.run}",
                ),
                "order_not_found",
            ),
            (
                self.command("finalize_return", {"return_id": self.unrefunded}),
                ("cart_not_found", "return_not_found"),
            ),
            (self.keyed("POST", "/v1/orders", self.order()), "store_not_found"),
            (self.keyed("POST", "/v1/inventory/update", self.stock_update()), "location_not_found"),
            (
                self.keyed(
                    "POST", "/v1/inventory/reserve", {"lines": [self.stock_line(1)], "ttl_seconds": 9}
                ),
                "location_not_found",
            ),
            *(
                (
                    self.keyed("POST", f"/v1/inventory/reservations/{self.reservation}/{action}", body),
                    "reservation_not_found",
                )
                for action, body in (("commit", {}), ("release", {}), ("extend", {"ttl_seconds": 9}))
            ),
            (self.ask(f"/v1/inventory/reservations/{self.reservation}"), "reservation_not_found"),
            (self.ask(f"/v1/orders/{self.final}"), "order_not_found"),
            (self.ask(f"/v1/orders?store_id={self.store}"), "store_not_found"),
            (self.ask(f"/v1/products/{self.sku}"), "sku_not_found"),
            (self.ask(f"/v1/locations/{self.store}"), "location_not_found"),
            (self.ask(f"/v1/locations/{self.store}/inventory"), "location_not_found"),
            (self.ask(f"/v1/inventory/{self.store}/{self.sku}"), "stock_not_found"),
            (
                self.ask(f"/v1/inventory/movements?location_id={self.store}&sku={self.sku}"),
                ("stock_not_found", "location_not_found"),
            ),
            (
                self.ask(f"/v1/inventory/conservation?location_id={self.store}&sku={self.sku}"),
                ("stock_not_found", "location_not_found"),
            ),
            (self.ask(f"/v1/dispatch/deliveries/{self.final}.1"), "delivery_not_found"),
            (self.ask(f"/v1/analytics/dashboard?store_id={self.store}"), "store_not_found"),
            (self.ask(f"/v1/analytics/sales?store_id={self.store}"), "store_not_found"),
        ]
        for request, code in listed:
            shown = request.path
            if shown == "/v1/pos/command":
                shown = request.body["action"]
            yield Case(f"{request.method} {shown}", replace(request, token="stranger"), 404, code)

    def stock_requests(self) -> Iterator[Case]:
        malformed, quantity, nothing = "field_invalid", "quantity_invalid", f"nothing-{self.run}"
        updates = [
            ("unknown location", {"location_id": nothing}, 404, "location_not_found"),
            ("location with a separator", {"location_id": "a#b"}, 422, "location_id_malformed"),
            ("unknown SKU", {"sku": nothing}, 422, "sku_unknown"),
            ("SKU with a separator", {"sku": f"{self.sku}#x"}, 422, "sku_unknown"),
            ("empty SKU", {"sku": ""}, 422, "sku_malformed"),
            ("unknown kind", {"kind": "add"}, 422, malformed),
            ("delta of 0", {"quantity": 0}, 422, quantity),
            ("a fraction of a piece", {"quantity": 1.5}, 422, malformed),
            ("10^12", {"quantity": 10**12}, 422, quantity),
            ("a count below 0", {"kind": "set", "quantity": -1}, 422, quantity),
            ("text", {"quantity": "5"}, 422, quantity),
            ("more than there is", {"quantity": -100_000}, 409, "insufficient_stock"),
            ("no reason", {"reason": ""}, 422, "reason_invalid"),
            ("blank reason", {"reason": "  "}, 422, "reason_invalid"),
            ("reason too long", {"reason": "x" * 201}, 422, "reason_invalid"),
            (
                "reason with a control character",
                {"reason": "a\u0000b"},
                422,
                ("reason_invalid", "text_malformed"),
            ),
            ("another version", {"expected_version": 99}, 409, "version_conflict"),
            ("a version below 0", {"expected_version": -1}, 422, "expected_version_invalid"),
            ("version as text", {"expected_version": "1"}, 422, malformed),
            ("an unknown member", {"on_hand": 1}, 422, malformed),
        ]
        for name, changed, status, code in updates:
            request = self.keyed("POST", "/v1/inventory/update", self.stock_update(**changed))
            yield Case(f"update: {name}", request, status, code)
        line = self.stock_line(1)
        reserves = [
            ("no lines", {"lines": []}, 422, "lines_out_of_range"),
            ("1,001 lines", {"lines": [line] * 1_001}, 422, "lines_out_of_range"),
            (
                "49 different lines",
                {"lines": [{**line, "sku": f"x{n}"} for n in range(49)]},
                422,
                "too_many_lines",
            ),
            ("unknown location", {"lines": [{**line, "location_id": nothing}]}, 404, "location_not_found"),
            ("unknown SKU", {"lines": [{**line, "sku": nothing}]}, 422, "sku_unknown"),
            ("0 seconds", {"ttl_seconds": 0}, 422, "ttl_out_of_range"),
            ("-1 seconds", {"ttl_seconds": -1}, 422, "ttl_out_of_range"),
            ("86,401 seconds", {"ttl_seconds": 86_401}, 422, "ttl_out_of_range"),
            ("2^63 seconds", {"ttl_seconds": 2**63}, 422, malformed),
            ("half a second", {"ttl_seconds": 0.5}, 422, malformed),
            ("an id with a separator", {"reservation_id": "a#b"}, 422, "id_malformed"),
            ("an id that is taken", {"reservation_id": self.reservation}, 409, "reservation_exists"),
            ("more than there is", {"lines": [self.stock_line(100_000)]}, 409, "insufficient_stock"),
            (
                "one line short of two",
                {"lines": [line, {**line, "sku": self.rice, "quantity": "999"}]},
                409,
                "insufficient_stock",
            ),
            (
                "two lines that together are too many",
                {"lines": [self.stock_line(600)] * 2},
                409,
                "insufficient_stock",
            ),
        ]
        for name, changed, status, code in reserves:
            body = {"lines": [line], "ttl_seconds": 9, **changed}
            yield Case(f"reserve: {name}", self.keyed("POST", "/v1/inventory/reserve", body), status, code)
        at = f"/v1/inventory/reservations/{self.reservation}"
        yield Case(
            "commit with fields", self.keyed("POST", f"{at}/commit", {"order_id": "x"}), 422, malformed
        )
        yield Case("release with fields", self.keyed("POST", f"{at}/release", {"x": 1}), 422, malformed)
        yield Case("extend by nothing", self.keyed("POST", f"{at}/extend", {}), 422, malformed)
        yield Case(
            "extend too long",
            self.keyed("POST", f"{at}/extend", {"ttl_seconds": 10**6}),
            422,
            "ttl_out_of_range",
        )
        wrong_lines = self.order(reservation_id=self.reservation)
        yield Case(
            "an order for other than is held",
            self.keyed("POST", "/v1/orders", wrong_lines),
            (409, 422),
            ("reservation_mismatch", "reservation_lines_differ"),
        )
        products = [
            ("without a name", {"unit_price": "1", "currency": "GBP"}, malformed),
            ("a price of 5 decimals", {"name": "n", "unit_price": "1.00001", "currency": "GBP"}, malformed),
            (
                "an unknown unit",
                {"name": "n", "unit_price": "1", "currency": "GBP", "unit": "stone"},
                malformed,
            ),
            ("another SKU", {"sku": "x", "name": "n", "unit_price": "1", "currency": "GBP"}, malformed),
            (
                "a wrong barcode",
                {"name": "n", "unit_price": "1", "currency": "GBP", "barcodes": ["1"]},
                malformed,
            ),
            ("an empty name", {"name": "", "unit_price": "1", "currency": "GBP"}, malformed),
        ]
        for name, body, code in products:
            yield Case(f"product: {name}", self.keyed("PUT", f"/v1/products/n-{self.run}", body), 422, code)
        product = {"name": "n", "unit_price": "1", "currency": "GBP"}
        stale = self.keyed("PUT", f"/v1/products/{self.sku}", product, **{"If-Match": '"999"'})
        yield Case(
            "product: another version",
            stale,
            412,
            ("version_mismatch", "precondition_failed", "etag_mismatch"),
        )
        garbled = self.keyed("PUT", f"/v1/products/{self.sku}", product, **{"If-Match": "garbage"})
        yield Case(
            "product: If-Match that is none",
            garbled,
            (400, 412, 422),
            (
                "if_match_malformed",
                "version_mismatch",
                "precondition_failed",
                "etag_mismatch",
            ),
        )
        place = {"id": f"n-{self.run}", "kind": "store", "name": "n", "time_zone": "UTC", "currency": "GBP"}
        for name, changed, status, code in [
            ("an unknown zone", {"time_zone": "Mars/Olympus"}, 422, malformed),
            ("an unknown kind", {"kind": "kiosk"}, 422, malformed),
            ("an id with a separator", {"id": "a#b"}, 422, malformed),
            ("a time that is none", {"business_day_start": "25:00"}, 422, malformed),
            ("one that is there", {"id": self.store}, 409, "location_exists"),
        ]:
            yield Case(
                f"location: {name}", self.keyed("POST", "/v1/locations", {**place, **changed}), status, code
            )

    def lists(self) -> Iterator[Case]:
        paths = [
            f"/v1/orders?store_id={self.store}",
            "/v1/products?",
            "/v1/locations?",
            "/v1/retail-locations?",
            f"/v1/inventory?location_id={self.store}",
            f"/v1/inventory/{self.sku}?",
            f"/v1/locations/{self.store}/inventory?",
            f"/v1/inventory/movements?location_id={self.store}&sku={self.sku}",
            "/v1/dispatch/deliveries?",
        ]
        ends = {}
        for path in paths:
            cursor = self.api.get(f"{path}&limit=1").get("next_cursor")
            expect(cursor is not None, f"{path} has no second page to go to")
            ends[path] = cursor
        for path in [
            *paths,
            "/v1/dispatch/dead-letters?",
            "/v1/warehouses?",
            f"/v1/analytics/products?store_id={self.store}",
        ]:
            for limit in (
                "0",
                "201",
                "1000000000",
                "-1",
                "99999999999999999999",
                "abc",
                "1e9",
                "1.5",
                "",
                "%00",
            ):
                codes = ("limit_out_of_range", "query_invalid")
                yield Case(f"{path}: limit {limit!r}", self.ask(f"{path}&limit={limit}"), 422, codes, "limit")
            for cursor in ("x", "", "%00", "AAAA", "A" * 10_000, "é"):
                yield Case(
                    f"{path}: cursor {cursor[:10]!r}",
                    self.ask(f"{path}&cursor={quote(cursor, safe='%')}"),
                    400,
                    "cursor_malformed",
                )
            yield Case(
                f"{path}: an unknown parameter",
                self.ask(f"{path}&colour=red"),
                422,
                "query_invalid",
                "colour",
            )
            yield Case(
                f"{path}: a parameter twice", self.ask(f"{path}&limit=1&limit=2"), 422, "query_invalid"
            )
        wrong = "cursor_malformed"
        filters = {
            "/v1/products?": "category=x",
            "/v1/locations?": None,
            "/v1/dispatch/deliveries?": "status=delivered",
            f"/v1/orders?store_id={self.store}": "channel=web",
            f"/v1/inventory?location_id={self.store}": f"sku={self.sku}",
        }
        for number, (path, cursor) in enumerate(ends.items()):
            raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            raw[-1] ^= 1
            tampered = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
            yield Case(f"{path}: tampered", self.ask(f"{path}&cursor={tampered}"), 400, wrong)
            yield Case(f"{path}: cut", self.ask(f"{path}&cursor={cursor[:-4]}"), 400, wrong)
            another = list(ends.values())[(number + 1) % len(ends)]
            yield Case(f"{path}: of another list", self.ask(f"{path}&cursor={another}"), 400, wrong)
            if filters.get(path):
                yield Case(
                    f"{path}: of another filter",
                    self.ask(f"{path}&{filters[path]}&cursor={cursor}"),
                    400,
                    wrong,
                )
        for path in ("/v1/products?", "/v1/locations?", "/v1/dispatch/deliveries?"):
            request = self.ask(f"{path}&cursor={ends[path]}", "stranger")
            yield Case(f"{path}: of another tenant", request, 400, wrong)

    def days(self) -> Iterator[Case]:
        of = f"store_id={self.store}"
        malformed, invalid = "time_malformed", "query_invalid"
        for path in ("/v1/analytics/sales", "/v1/analytics/products", "/v1/analytics/categories"):
            for name, query, code in [
                ("a day that is none", "from=2010-02-30&to=2010-03-01", malformed),
                ("no leap year", "from=2011-02-29&to=2011-03-01", malformed),
                ("month 13", "from=2010-13-01&to=2010-13-02", malformed),
                ("words", "from=yesterday&to=today", malformed),
                ("an hour that is none", "from=2010-12-01T25:00:00Z&to=2010-12-02T00:00:00Z", malformed),
                ("an instant without offset", "from=2010-12-01T00:00:00&to=2010-12-02T00:00:00", malformed),
                ("empty", "from=&to=", malformed),
                ("year 10000", "from=10000-01-01&to=10000-01-02", malformed),
                ("a zero byte", "from=2010-12-01%00&to=2010-12-02", malformed),
                ("backwards", "from=2010-12-02&to=2010-12-01", "range_reversed"),
                ("no end", "from=2010-12-01", "range_incomplete"),
                ("no beginning", "to=2010-12-01", "range_incomplete"),
                ("a day and an instant", "from=2010-12-01&to=2010-12-02T00:00:00Z", "range_mixed"),
                ("too long", "from=2000-01-01&to=2010-12-31", "range_too_long"),
                ("all of time", "from=-009999-01-01&to=9999-12-31", ("range_too_long", malformed)),
            ]:
                yield Case(f"{path}: {name}", self.ask(f"{path}?{of}&{query}"), 422, code)
        sales, day = f"/v1/analytics/sales?{of}", "from=2010-12-01&to=2010-12-01"
        for name, query, code in [
            ("granularity of a minute", "granularity=minute", invalid),
            ("empty granularity", "granularity=", invalid),
            ("granularity in capitals", "granularity=DAY", invalid),
            ("group by customer", "group_by=customer", invalid),
            ("group by two", "group_by=store,register", invalid),
            ("compare with tomorrow", "compare=tomorrow", invalid),
            ("by hour too long", "from=2010-10-01&to=2010-12-31&granularity=hour", "range_too_long"),
        ]:
            query = query if "from=" in query else f"{day}&{query}"
            yield Case(f"sales: {name}", self.ask(f"{sales}&{query}"), 422, code)
        yield Case(
            "before the calendar",
            self.ask(f"{sales}&from=-009999-01-01&to=-009999-01-01&compare=previous_period"),
            422,
            ("time_out_of_range", malformed),
        )
        for name, query, code in [
            ("order by colour", "order_by=colour", invalid),
            ("direction sideways", "direction=sideways", invalid),
        ]:
            yield Case(f"products: {name}", self.ask(f"/v1/analytics/products?{of}&{day}&{query}"), 422, code)
        for date in ("2010-02-30", "today", "2010-12-01T00:00:00Z", "", "20101201", "2010-12-1"):
            yield Case(
                f"dashboard: {date!r}",
                self.ask(f"/v1/analytics/dashboard?{of}&date={date}"),
                422,
                malformed,
                "date",
            )
        for name, query, code in [
            ("from that is none", "from=2010-02-30", malformed),
            ("to that is none", "to=x", malformed),
            ("backwards", "from=2010-12-02&to=2010-12-01", "range_reversed"),
            ("status with a space", "status=a%20b", "id_malformed"),
            ("channel with a separator", "channel=a%23b", "id_malformed"),
        ]:
            yield Case(f"orders: {name}", self.ask(f"/v1/orders?{of}&{query}"), 422, code)
        for path, query, name in [
            ("/v1/inventory", "below_reorder_point=maybe", "below_reorder_point"),
            ("/v1/dispatch/deliveries", "status=lost", "status"),
        ]:
            yield Case(f"{path}?{query}", self.ask(f"{path}?{query}"), 422, invalid, name)
        yield Case(
            "movements of no SKU",
            self.ask(f"/v1/inventory/movements?location_id={self.store}"),
            422,
            invalid,
            "sku",
        )
        yield Case(
            "proof of no location",
            self.ask(f"/v1/inventory/conservation?sku={self.sku}"),
            422,
            invalid,
            "location_id",
        )

    def paths(self) -> Iterator[Case]:
        odd = [
            ("dots", "%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
            ("a slash", "a%2Fb"),
            ("a separator", f"{self.final}%23cart"),
            ("a zero byte", "a%00b"),
            ("a line break", "a%0d%0aX-Injected:%201"),
            ("not UTF-8", "%ff%fe"),
            ("10 KB", "x" * 10_000),
            ("65 bytes", "x" * 65),
            ("a broken escape", "%zz"),
            ("a quote", "%22%27%3b--"),
        ]
        clear = (400, 404, 414, 422)
        for prefix in (
            "/v1/orders/",
            "/v1/products/",
            "/v1/locations/",
            "/v1/inventory/reservations/",
            f"/v1/inventory/{self.store}/",
            "/v1/dispatch/deliveries/",
            "/v1/dispatch/dead-letters/",
        ):
            for name, id in odd:
                codes = (
                    "id_malformed",
                    "sku_malformed",
                    "path_malformed",
                    "route_unknown",
                    "order_not_found",
                    "sku_not_found",
                    "location_not_found",
                    "reservation_not_found",
                    "stock_not_found",
                    "delivery_not_found",
                    "dead_letter_not_found",
                )
                yield Case(f"{prefix}{name}", self.ask(prefix + id), clear, codes)
        for name, id in odd:
            request = self.keyed(
                "PUT", f"/v1/products/{id}", {"name": "n", "unit_price": "x", "currency": "GBP"}
            )
            codes = ("field_invalid", "sku_malformed", "path_malformed", "route_unknown")
            yield Case(f"PUT product {name}", request, (400, 404, 414, 422), codes)
            request = self.keyed("POST", f"/v1/inventory/reservations/{id}/release", {})
            codes = ("id_malformed", "path_malformed", "route_unknown", "reservation_not_found")
            yield Case(f"release {name}", request, (400, 404, 414, 422), codes)
        unknown = "route_unknown"
        for path in (
            "/v1/nothing",
            "/v2/orders",
            "/v1/orders/x/y/z",
            "/v1/../admin",
            "/",
            "/v1//orders",
            "/v1/Orders",
            "/admin",
        ):
            yield Case(f"GET {path}", self.ask(path), 404, unknown)
        for method, path in [
            ("GET", "/v1/pos/command"),
            ("PUT", "/v1/pos/command"),
            ("DELETE", "/v1/pos/command"),
            ("DELETE", "/v1/orders"),
            ("PATCH", "/v1/orders"),
            ("DELETE", f"/v1/orders/{self.final}"),
            ("POST", "/v1/inventory"),
            ("GET", "/v1/inventory/reserve"),
            ("DELETE", f"/v1/products/{self.sku}"),
            ("POST", f"/v1/products/{self.sku}"),
            ("PUT", "/v1/locations"),
            ("POST", "/v1/analytics/sales"),
            ("POST", "/v1/health"),
            ("DELETE", f"/v1/inventory/reservations/{self.reservation}"),
            ("BREW", "/v1/orders"),
        ]:
            request = self.keyed(method, path, None if method in ("GET", "DELETE") else {})
            # GET /v1/inventory/reserve reads the stock of a SKU that happens to be called so.
            codes = (unknown, "method_not_allowed", "sku_not_found", "stock_not_found", "product_not_found")
            yield Case(f"{method} {path}", request, (404, 405), codes)
        yield Case("HEAD", Request("HEAD", "/v1/orders"), (200, 404, 405), None)
        # Without a CORS configuration the gateway answers preflights itself.
        yield Case("OPTIONS", Request("OPTIONS", "/v1/orders"), (204, 403, 404, 405), None)

    def sizes(self) -> Iterator[Case]:
        megabyte, large = 1024 * 1024, "body_too_large"
        lines = [{"sku": self.sku, "quantity": 1}] * (LINES_MAX + 1)
        order = self.keyed("POST", "/v1/orders", self.order(lines=lines))
        yield Case(f"an order of {LINES_MAX + 1} lines", order, 422, "too_many_lines", "lines")
        for path in ("/v1/pos/command", "/v1/orders", "/v1/sync/catalog"):
            above = self.keyed("POST", path, b" " * (4 * megabyte + 1))
            yield Case(f"{path}: 4 MB and a byte", above, 413, large)
            # Above the gateway's own limit: its answer on AWS, ours here.
            yield Case(
                f"{path}: 10.5 MB",
                self.keyed("POST", path, b" " * (10 * megabyte + megabyte // 2)),
                413,
                None,
            )
        long = self.command("add_line_item", self.line(notes="x" * 3 * megabyte))
        yield Case("notes of 3 MB", long, 422, "text_too_long")

    def feeds(self) -> Iterator[Case]:
        line = json.dumps({"id": f"z-{self.run}", "version": 1, "op": "upsert", "data": {}})
        packed = gzip.compress(line.encode())
        yield Case("unknown feed", self.keyed("POST", "/v1/sync/weather", line), 404, "unknown_entity")
        yield Case(
            "a feed not taken yet",
            self.keyed("POST", "/v1/sync/customers", line),
            422,
            "entity_not_supported",
        )
        for start in ("0", "-1", "x", "1.5", ""):
            codes = ("from_out_of_range", "query_invalid")
            yield Case(
                f"from {start!r}",
                self.keyed("POST", f"/v1/sync/catalog?from={start}", line),
                422,
                codes,
                "from",
            )
        for path in ("/v1/sync/catalog", "/v1/pos/command", "/v1/orders"):
            request = self.keyed("POST", path, packed, **{"Content-Encoding": "gzip"})
            yield Case(f"{path}: gzip", request, 415, "content_encoding_unsupported")

    # Checks that change something on purpose

    def checks(self):
        yield self.repetitions_are_not_refused
        yield self.refusals_within_a_batch
        yield self.a_cart_of_more_lines_than_it_holds
        yield self.a_cart_of_more_bytes_than_it_holds
        yield self.a_bad_line_among_ten_thousand
        yield self.odd_uploads
        yield self.records_that_are_not_ours
        yield self.nothing_secret_in_the_logs

    def repetitions_are_not_refused(self) -> str:
        """After all that, the commands that took effect before still answer as they did."""
        again = self.answer(Request("POST", "/v1/pos/command", self.finalising))
        expect(again.status == 200 and again.headers.get("idempotent-replayed") == "true", again)
        body = again.json()
        expect(body["consistency_token"] == self.consistency_token, "another consistency token")
        expect(body["result"]["order_id"] == self.final, body["result"])
        return "the sale made before answers as it did"

    def refusals_within_a_batch(self) -> str:
        """Each bad command of a batch has the outcome it would have had alone; the good ones go on."""
        good = self.envelope("create_cart", {"cart_id": self.name("c")})
        rest = self.envelope("add_line_item", {**self.line(), "cart_id": good["payload"]["cart_id"]})
        bad = [
            (7, 400, "json_malformed"),
            ([], 400, "json_malformed"),
            ({}, (400, 422), ("idempotency_key_missing", "field_invalid")),
            (self.envelope("sell", {}), 422, "unknown_action"),
            (self.envelope("finalize_order", {"cart_id": self.open}), 409, "wrong_cart_state"),
            (self.envelope("void_cart", {"cart_id": f"nothing-{self.run}"}), 404, "cart_not_found"),
            (self.envelope("create_cart", {}, store_id=f"nothing-{self.run}"), 404, "store_not_found"),
            (self.envelope("add_line_item", self.line(notes=CARD)), 422, "card_number_refused"),
        ]
        commands = [good, *(command for command, _, _ in bad), rest]
        answer = self.answer(Request("POST", "/v1/pos/commands", {"commands": commands}))
        expect(answer.status == 200, answer.text[:500])
        expect(CARD not in answer.text, "the answer repeats the card number")
        outcomes = answer.json()["outcomes"]
        expect(len(outcomes) == len(commands), f"{len(outcomes)} outcomes")
        expect([outcomes[0]["status"], outcomes[-1]["status"]] == [200, 200], outcomes)
        for (command, status, code), outcome in zip(bad, outcomes[1:-1], strict=True):
            statuses = status if isinstance(status, tuple) else (status,)
            codes = code if isinstance(code, tuple) else (code,)
            right = outcome["status"] in statuses and outcome["body"].get("code") in codes
            expect(right, f"{json.dumps(command)}: {json.dumps(outcome)[:300]}")
        return f"{len(bad)} bad commands refused each for itself, the good ones applied"

    def a_cart_of_more_lines_than_it_holds(self) -> str:
        """To fill a cart command by command takes minutes: an order of nearly as many lines as fit is laid
        back into the table as an open cart, and filled up from there."""
        lines = [{"sku": self.rice, "quantity": "0.001"}] * (LINES_MAX - 1)
        headers = {"Idempotency-Key": self.name("k")}
        order = self.api.post("/v1/orders", self.order(lines=lines), headers).body["order"]
        expect(order["line_count"] == LINES_MAX - 1, f"{order['line_count']} lines of an order")
        cloud = self.stack.cloud()
        database, table = cloud.client("dynamodb"), cloud.outputs()["OrdersTable"]
        key = {"pk": {"S": f"{TENANT}#cart#{order['id']}"}, "sk": {"S": "cart"}}
        item = database.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
        of_orders = {
            "lane",
            "lane_pk",
            "lane_number",
            "order_version",
            "status",
            "finalized_at",
            "business_day",
            "hour_start",
            "offset_seconds",
            "store_pk",
            "store_sk",
        }
        cart = self.name("c")
        opened = {name: value for name, value in item.items() if name not in of_orders}
        opened |= {"pk": {"S": f"{TENANT}#cart#{cart}"}, "cart_id": {"S": cart}, "state": {"S": "open"}}
        database.put_item(TableName=table, Item=opened)
        line = {**self.line(), "cart_id": cart}
        changed = {"reply": "summary", "register_id": order["register_id"]}
        last = self.answer(self.command("add_line_item", line, **changed))
        expect(last.status == 200 and last.json()["cart"]["line_count"] == LINES_MAX, last.text[:300])
        above = self.answer(self.command("add_line_item", line, **changed))
        expect((above.status, above.json().get("code")) == (422, "too_many_lines"), above.text[:300])
        return f"line {LINES_MAX} is taken, one more is refused"

    def a_cart_of_more_bytes_than_it_holds(self) -> str:
        cart, taken = self.make("create_cart", "cart_id"), 0
        while True:
            # Four bytes a character, and nothing to compress.
            noted = [
                {
                    **self.line(),
                    "cart_id": cart,
                    "notes": "".join(chr(0x10000 + secrets.randbelow(0x8000)) for _ in range(500)),
                }
                for _ in range(50)
            ]
            commands = [self.envelope("add_line_item", line) for line in noted]
            outcomes = self.api.post("/v1/pos/commands", {"commands": commands}).body["outcomes"]
            refused = [outcome for outcome in outcomes if outcome["status"] != 200]
            taken += len(outcomes) - len(refused)
            if refused:
                break
            expect(taken < LINES_MAX, "a cart grew without end")
        codes = {(outcome["status"], outcome["body"].get("code")) for outcome in refused}
        expect(codes == {(422, "cart_too_large")}, f"after {taken} lines: {codes}")
        shown = self.send("set_tendering", cart_id=cart)["cart"]
        expect((shown["state"], shown["line_count"]) == ("tendering", taken), f"{shown['line_count']} lines")
        return f"{taken} lines with long notes, then refused; it can still be tendered"

    def a_bad_line_among_ten_thousand(self) -> str:
        bad = FEED_LINES // 2
        ids = [f"feed-{self.run}-{number}" for number in range(1, FEED_LINES + 1)]
        lines = [
            json.dumps(
                {
                    "id": id,
                    "version": 1,
                    "op": "upsert",
                    "data": {"sku": id, "name": id, "unit_price": "1", "currency": "GBP"},
                }
            )
            for id in ids
        ]
        lines[bad - 1] = f'{{"id": "{ids[bad - 1]}", "version": 1, "op"'
        reply = self.upload_text("catalog", "\n".join(lines) + "\n")
        counts = {name: reply[name] for name in ("applied", "skipped", "failed")}
        expect(counts == {"applied": FEED_LINES - 1, "skipped": 0, "failed": 1}, counts)
        [error] = reply["errors"]
        expect((error["line"], error["code"]) == (bad, "line_not_json"), error)
        for id, there in (
            (ids[0], True),
            (ids[bad - 2], True),
            (ids[bad - 1], False),
            (ids[bad], True),
            (ids[-1], True),
        ):
            status = self.answer(self.ask(f"/v1/products/{id}")).status
            expect(status == (200 if there else 404), f"GET {id}: {status}")
        return f"{FEED_LINES - 1} of {FEED_LINES} lines applied, line {bad} named"

    def upload_text(self, entity: str, text: str | bytes) -> dict:
        """Sends an upload until all of it is applied; the sums over all calls."""
        sums, start = {"applied": 0, "skipped": 0, "failed": 0, "lines": 0, "errors": []}, 1
        while start is not None:
            headers = {"Idempotency-Key": self.name("k"), "Content-Type": "application/x-ndjson"}
            answer = self.answer(Request("POST", f"/v1/sync/{entity}?from={start}", text, headers))
            expect(answer.status == 200, f"{answer.status} {answer.text[:300]}")
            reply = answer.json()
            for name in sums:
                sums[name] += reply[name]
            start = reply["next_from"]
        return sums

    def odd_uploads(self) -> str:
        def line(id: str, **changed) -> str:
            data = {"sku": id, "name": id, "unit_price": "1", "currency": "GBP", **changed}
            return json.dumps({"id": id, "version": 1, "op": "upsert", "data": data})

        last, first = f"last-{self.run}", f"first-{self.run}"
        long = line(f"long-{self.run}", name="x" * 70_000)
        bad = [
            ("line_too_long", long),
            ("line_not_json", "[" * 30_000),
            ("line_invalid", "[]"),
            ("line_invalid", "null"),
            ("line_invalid", '{"id":"a","version":-1,"op":"upsert"}'),
            ("line_invalid", '{"id":"a","version":1.5,"op":"upsert"}'),
            ("line_invalid", '{"id":"a","version":1,"op":"merge"}'),
            ("line_invalid", '{"id":"a","version":1,"op":"upsert"}'),
            ("version_out_of_range", '{"id":"a","version":9007199254740992,"op":"upsert"}'),
            ("id_malformed", '{"id":"","version":1,"op":"upsert"}'),
        ]
        # The last line has no newline behind it, and counts.
        text = "\n".join([line(first), "", *(text for _, text in bad), "\u00a0", line(last)])
        reply = self.upload_text("catalog", text)
        told = [(error["line"], error["code"]) for error in reply["errors"]]
        wanted = [(number, code) for number, (code, _) in enumerate(bad, 3)] + [
            (3 + len(bad), "line_not_json")
        ]
        expect(told == wanted, f"errors {told}, expected {wanted}")
        expect(reply["applied"] == 2, reply)
        for id in (first, last):
            expect(self.answer(self.ask(f"/v1/products/{id}")).status == 200, f"{id} is not there")
        not_utf8 = self.upload_text("catalog", b"\xff\xfe\n" + line(f"utf-{self.run}").encode())
        expect((not_utf8["applied"], not_utf8["failed"]) == (1, 1), not_utf8)
        for name, text in (("empty", b""), ("only line breaks", b"\n\r\n\n")):
            reply = self.upload_text("catalog", text)
            expect((reply["lines"], reply["failed"]) == (0, 0), f"{name}: {reply}")
        # Stock of a location or SKU that is not there, or below zero.
        for changed in (
            {"location_id": f"nothing-{self.run}"},
            {"sku": f"nothing-{self.run}"},
            {"on_hand": -1},
        ):
            stock = {"location_id": self.store, "sku": self.euro, "on_hand": 1, **changed}
            text = json.dumps({"id": self.name("i"), "version": 1, "op": "upsert", "data": stock})
            reply = self.upload_text("inventory", text)
            expect((reply["applied"], reply["failed"]) == (0, 1), f"{changed}: {reply}")
        return f"{len(bad)} kinds of bad lines named, what was good between them applied"

    def records_that_are_not_ours(self) -> str:
        """Foreign records in the stream, the queue and the tables: parked whole, and everything goes on."""
        cloud = self.stack.cloud()
        outputs = cloud.outputs()
        marks = self.put_foreign_records(cloud, outputs)
        started = time.monotonic()
        sale = self.paid_cart()
        sold = self.send("finalize_order", cart_id=sale)
        token, number = sold["consistency_token"], sold["result"]["receipt_number"]
        while True:
            figures = self.answer(
                Request(
                    "GET",
                    f"/v1/analytics/dashboard?store_id={self.store}",
                    headers={"X-Consistency-Token": token},
                )
            )
            if figures.headers.get("x-consistency") == "satisfied":
                break
            late = time.monotonic() - started
            expect(late < FIGURES_SECONDS_MAX, f"a sale's figures did not arrive in {FIGURES_SECONDS_MAX} s")
            time.sleep(0.2)
        seconds = time.monotonic() - started
        lanes = json.loads(figures.text)["watermark"]["lanes"]
        lane = lanes[f"{self.store}/r-1"]
        expect((lane["through"], lane["gaps"]) == (number, []), f"lane {lane}, expected {number}")
        delivery = f"/v1/dispatch/deliveries/{sale}.1"
        deadline = time.monotonic() + FIGURES_SECONDS_MAX
        while self.answer(self.ask(delivery)).json().get("status") != "delivered":
            expect(time.monotonic() < deadline, f"{delivery} was not delivered in {FIGURES_SECONDS_MAX} s")
            time.sleep(0.5)
        missing = self.wait_for_parked(cloud, outputs["DispatchTable"], marks)
        expect(not missing, f"not parked after {PARKED_SECONDS_MAX} s, or not whole: {missing}")
        return f"{len(marks)} records parked whole; figures of a sale made after them in {seconds:.1f} s"

    def put_foreign_records(self, cloud, outputs: dict[str, str]) -> dict[str, tuple[str, str]]:
        """Name -> (function that must park it, text that its record must hold)."""
        stream, queue = cloud.client("kinesis"), cloud.client("sqs")
        database = cloud.client("dynamodb")
        marks = {}
        large = "x" * 400_000
        personal = f"customer-{self.run}@example.com"
        for name, data in [
            ("text", f"not an event {self.run}".encode()),
            # What a parser says of a wrong value repeats the value; neither may be logged.
            ("a name for a version", json.dumps({"version": personal}).encode()),
            ("a name for an amount", json.dumps({"version": 1, "net_sales": personal}).encode()),
            ("no UTF-8", b"\xff\xfe" + self.run.encode()),
            ("nothing", b" " + self.run.encode() + b" "),
            ("another event", json.dumps({"detail-type": "order.created", "run": self.run}).encode()),
            ("an event of a later version", json.dumps({"version": 999, "run": self.run}).encode()),
            ("400 KB", json.dumps({"run": self.run, "text": large}).encode()),
        ]:
            stream.put_record(StreamName=outputs["SalesStream"], PartitionKey=f"{self.store}/r-1", Data=data)
            marks[f"stream: {name}"] = ("sales-aggregator", base64.b64encode(data).decode())
        for name, body in [
            ("text", f"not a wake-up {self.run}"),
            ("a name for a version", json.dumps({"version": personal, "tenant_id": TENANT})),
            ("another message", json.dumps({"Type": "Notification", "run": self.run})),
            (
                "a wake-up with more in it",
                json.dumps(
                    {
                        "version": 1,
                        "tenant_id": TENANT,
                        "order_id": self.final,
                        "order_version": 1,
                        "run": self.run,
                    }
                ),
            ),
            (
                "a wake-up of a later version",
                json.dumps(
                    {"version": 99, "tenant_id": TENANT, "order_id": f"o-{self.run}", "order_version": 1}
                ),
            ),
        ]:
            queue.send_message(
                QueueUrl=outputs["HqQueueUrl"],
                MessageBody=body,
                # The group of an order that is sold afterwards would be held up, if anything were.
                MessageGroupId=f"{TENANT}/{self.run}",
                MessageDeduplicationId=self.name("m"),
            )
            marks[f"queue: {name}"] = ("hq-dispatcher", json.dumps(body)[1:-1])
        for name, item in [
            ("an order of another shape", {"lane_number": {"N": "7"}, "text": {"S": "foreign"}}),
            (
                "an order with a name for a state",
                {"lane_number": {"N": "7"}, "tenant_id": {"S": TENANT}, "state": {"S": personal}},
            ),
            ("an order of types that nobody writes", {"lane_number": {"N": "7"}, "set": {"SS": ["a", "b"]}}),
            ("an order with a fraction for a number", {"lane_number": {"N": "1.5"}, "none": {"NULL": True}}),
        ]:
            id = self.name("foreign")
            key = {"pk": {"S": f"{TENANT}#cart#{id}"}, "sk": {"S": "cart"}}
            database.put_item(TableName=outputs["OrdersTable"], Item={**key, **item})
            marks[f"orders table: {name}"] = ("event-relay", id)
        id = self.name("foreign")
        key = {"pk": {"S": f"{TENANT}#stock#{self.store}#{id}"}, "sk": {"S": "stock"}}
        database.put_item(
            TableName=outputs["StockTable"], Item={**key, "seq": {"N": "1"}, "x": {"BOOL": True}}
        )
        marks["stock table: an item of another shape"] = ("event-relay", id)
        return marks

    def wait_for_parked(self, cloud, table: str, marks: dict[str, tuple[str, str]]) -> list[str]:
        """What is not parked, or not whole, when its time is over."""
        deadline = time.monotonic() + PARKED_SECONDS_MAX
        while True:
            records = self.parked_records(cloud, table)
            missing = [
                name
                for name, (function, text) in marks.items()
                if not any(by == function and text in record for by, record in records)
            ]
            if not missing or time.monotonic() > deadline:
                return missing
            time.sleep(1)

    def parked_records(self, cloud, table: str) -> list[tuple[str, str]]:
        """(function, record) of everything parked since this run began, its pieces put together."""
        pages = (
            cloud.client("dynamodb")
            .get_paginator("query")
            .paginate(
                TableName=table,
                KeyConditionExpression="pk = :parked AND sk >= :since",
                ExpressionAttributeValues={
                    ":parked": {"S": "parked"},
                    ":since": {"S": f"{self.began_millis - 5_000:015}"},
                },
            )
        )
        pieces: dict[tuple, dict[int, str]] = {}
        wholes: dict[tuple, int] = {}
        for page in pages:
            for item in page["Items"]:
                id = (item["function"]["S"], item["record_id"]["S"])
                pieces.setdefault(id, {})[int(item["piece"]["N"])] = item["record"]["S"]
                wholes[id] = int(item["pieces"]["N"])
        return [
            (function, "".join(found[number] for number in sorted(found)))
            for (function, id), found in pieces.items()
            if len(found) == wholes[function, id]
        ]

    def nothing_secret_in_the_logs(self) -> str:
        """No token, card number, note, reason, reference or customer that was sent is in a log line."""
        self.personal_sale()
        # A request of now must be among them: else these are not the logs, or not all.
        last = self.answer(self.ask("/v1/locations")).headers["x-request-id"]
        time.sleep(2)
        messages = self.log_messages()
        expect(
            any(last in message for message in messages), f"none of {len(messages)} log lines is of {last}"
        )
        # Of a token its signature is what must not be seen; with it the rest is worthless.
        texts = {text.rsplit(".", 1)[-1] if text.count(".") == 2 else text for text in self.secret_texts}
        found = {text: message for text in texts if len(text) > 8 for message in messages if text in message}
        told = [
            f"{text!r} in …{message[max(0, message.index(text) - 200) :][:400]}…"
            for text, message in found.items()
        ]
        expect(not found, f"{len(found)} secrets in the logs: {'; '.join(told)}")
        return f"{len(messages)} lines, none holds any of {len(texts)} secrets"

    def log_messages(self) -> list[str]:
        """Everything logged since this run began."""
        return [message for _, _, message in self.stack.log_events(self.began_millis)]

    def personal_sale(self) -> None:
        """A good sale with everything personal that a sale can have."""
        cart = self.make("create_cart", "cart_id", customer_id=f"jane-doe-{self.run}")
        self.send("add_line_item", cart_id=cart, sku=self.sku, quantity=1, notes=f"note-{self.run}")
        self.send("set_tendering", cart_id=cart)
        reference = f"reference-{self.run}"
        self.send(
            "add_payment", cart_id=cart, tender="card", amount=pounds(250), external_reference=reference
        )
        self.send("finalize_order", cart_id=cart)
        reason = f"reason-{self.run}"
        back = self.make("start_return", "return_id", original_order_id=cart, reason=reason)
        self.send("void_return", return_id=back, reason=reason)
        update = self.stock_update(reason=reason)
        self.api.post("/v1/inventory/update", update, {"Idempotency-Key": self.name("k")})


def main() -> int:
    parser = argparse.ArgumentParser(prog="bad_input.py")
    parser.add_argument("--directory", type=Path, default=ROOT / "target" / "local", help="the stack's state")
    chosen = parser.parse_args()
    try:
        prerequisites.enter_environment()
        from stack import LocalStack

        run(LocalStack(chosen.directory.absolute()))
    except (AssertionError, Failure) as error:
        fail(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
