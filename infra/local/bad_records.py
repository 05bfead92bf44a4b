"""What can be wrong with uploads, batches, large carts, and records that others put into our streams,
queue and tables."""

import base64
import json
import secrets
import time

from hostile_client import (
    CARD,
    FEED_LINES,
    FIGURES_SECONDS_MAX,
    LINES_MAX,
    PARKED_SECONDS_MAX,
    TENANT,
    HostileClient,
    Request,
    expect,
    pounds,
)


class BadRecords(HostileClient):
    """Checks that change something on purpose, and look at what became of it."""

    # Checks that change something on purpose

    def checks(self):
        yield self.repetitions_are_not_refused
        yield self.refusals_within_a_batch
        yield self.a_cart_of_more_lines_than_it_holds
        yield self.a_cart_of_more_bytes_than_it_holds
        yield self.a_bad_line_among_ten_thousand
        yield self.odd_uploads
        yield self.documents_as_bytes
        yield self.bad_templates
        yield self.odd_rules
        yield self.approvals_are_used_once
        yield self.strict.settings_refuse
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
            (self.envelope("create_cart", {}, occurred_at="2199-01-01T00:00:00Z"), 422, "occurred_at_in_future"),
            (self.envelope("set_tendering", {"cart_id": self.open}, register_id="r-2"), 409, "cart_of_another_register"),
            (
                self.envelope("add_line_item", self.line(), store_id=self.second_store),
                409,
                "cart_of_another_store",
            ),
            (
                self.envelope("paid_in", {"shift_id": self.closed_shift, "amount": pounds(1), "reason": "x"},
                              register_id="r-2"),
                409,
                "shift_closed",
            ),
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
        opened["register_id"] = {"S": "r-1"}
        database.put_item(TableName=table, Item=opened)
        line = {**self.line(), "cart_id": cart}
        last = self.answer(self.command("add_line_item", line, reply="summary"))
        expect(last.status == 200 and last.json()["cart"]["line_count"] == LINES_MAX, last.text[:300])
        above = self.answer(self.command("add_line_item", line, reply="summary"))
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

    def odd_rules(self) -> str:
        """Rules, coupons, customers and categories that must not be taken, each between good ones."""
        pounds = {"amount": 100, "currency": "GBP"}
        percent = {"name": "P", "benefit": {"percentage": {"bps": 1}}, "target": {"skus": ["nothing"]}}
        coupon = {"benefit": {"percentage": {"bps": 1}}}
        several = [f"s{number}" for number in range(1_001)]
        euro = {"amount": 1, "currency": "EUR"}
        odd = {
            "promotions": [
                ("line_invalid", {**percent, "benefit": {}}),
                ("line_invalid", {**percent, "benefit": {"gift": {"sku": "A"}}}),
                ("line_invalid", {**percent, "benefit": {"fixed_amount": {"amount": 1, "per": "order"}}}),
                ("line_invalid", {**percent, "priority": 2**40}),
                ("percentage_out_of_range", {**percent, "benefit": {"percentage": {"bps": 10_001}}}),
                ("pieces_out_of_range", {**percent, "benefit": {"buy_get": {"buy": 0, "get": 1}}}),
                (
                    "currency_mixed",
                    {
                        **percent,
                        "benefit": {"fixed_amount": {"amount": pounds, "per": "order"}},
                        "conditions": {"minimum_subtotal": euro},
                    },
                ),
                ("list_too_long", {**percent, "target": {"skus": several}}),
                ("text_malformed", {**percent, "name": "\u0000"}),
                (
                    "time_of_day_malformed",
                    {**percent, "conditions": {"time_of_day": {"from": "25:00", "to": "1"}}},
                ),
                ("limit_zero", {**percent, "limits": {"total": 0}}),
                ("id_mismatch", {**percent, "id": "another"}),
            ],
            "tax_rules": [
                ("line_invalid", {"name": "T", "rate_bps": -1, "regions": ["nowhere"]}),
                ("line_invalid", {"name": "T", "rate_bps": 17.5, "regions": ["nowhere"]}),
                ("rate_out_of_range", {"name": "T", "rate_bps": 100_001, "regions": ["nowhere"]}),
                ("id_malformed", {"name": "T", "rate_bps": 1, "stores": ["#"]}),
            ],
            "coupons": [
                ("line_invalid", {}),
                ("amount_out_of_range", {"benefit": {"fixed_amount": {"amount": {**pounds, "amount": -1}}}}),
                ("amount_out_of_range", {**coupon, "minimum_spend": {**pounds, "amount": 10**13}}),
                ("limits_reversed", {**coupon, "total_limit": 1, "per_customer_limit": 2}),
            ],
            "customers": [
                ("too_many_segments", {"segments": several[:101]}),
                ("segment_repeated", {"segments": ["gold", "gold"]}),
                ("line_invalid", {"segments": {"0": "gold"}}),
            ],
            "categories": [
                ("category_cycle", {"parent": f"odd-{self.run}"}),
                ("category_malformed", {"parent": " "}),
                ("line_invalid", {"parent": 7}),
            ],
        }
        good = {
            "promotions": percent,
            "tax_rules": {"name": "T", "rate_bps": 1, "regions": ["nowhere"]},
            "coupons": coupon,
            "customers": {},
            "categories": {"parent": f"above-{self.run}"},
        }
        for entity, cases in odd.items():

            def line(id: str, data: dict) -> str:
                return json.dumps({"id": id, "version": 1, "op": "upsert", "data": data})

            first, last, id = (f"{name}-{self.run}" for name in ("first", "last", "odd"))
            bad = [line(id, data) for _, data in cases]
            lines = [line(first, good[entity]), *bad, line(last, good[entity])]
            reply = self.upload_text(entity, "\n".join(lines))
            told = [(error["line"], error["code"]) for error in reply["errors"]]
            wanted = [(number, code) for number, (code, _) in enumerate(cases, 2)]
            expect(told == wanted, f"{entity}: errors {told}, expected {wanted}")
            expect(reply["applied"] == 2, f"{entity}: {reply}")
            # They were good; nothing of them is to be in the way of what comes after.
            gone = [json.dumps({"id": name, "version": 2, "op": "delete"}) for name in (first, last)]
            reply = self.upload_text(entity, "\n".join(gone))
            expect(reply["applied"] == 2, f"{entity}: {reply}")
        return f"{sum(map(len, odd.values()))} bad rules named, none taken"

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
