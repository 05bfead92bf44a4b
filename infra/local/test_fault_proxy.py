"""The faults that a scenario makes, and the proxy that makes them: each does what it is called."""

import asyncio
import json
import random
import unittest
import unittest.mock
from collections import Counter
from contextlib import asynccontextmanager

import fault_proxy
import faults
import processes
from fault_proxy import Broken, Message, Proxy, Upstream, read_message
from faults import Call, Schedule, part_of_batch

PUT = Call("dynamodb", "PutItem")
TRANSACTION = Call("dynamodb", "TransactWriteItems", {"ClientRequestToken": "t", "TransactItems": [{}, {}, {}]})
RECORDS = Call("kinesis", "PutRecords", {"StreamName": "s", "Records": [{"Data": name} for name in "abcd"]})
MESSAGES = Call("sqs", "SendMessageBatch", {"QueueUrl": "q", "Entries": [{"Id": str(i)} for i in range(4)]})
WRITES = Call("dynamodb", "BatchWriteItem", {"RequestItems": {"t": ["a", "b"], "u": ["c"]}})
KEYS = {"t": {"Keys": ["a", "b"], "ConsistentRead": True}, "u": {"Keys": ["c"]}}
READS = Call("dynamodb", "BatchGetItem", {"RequestItems": KEYS})


class ScheduleTest(unittest.TestCase):
    def test_each_kind_comes_once_in_the_first_calls_and_once_in_each_round_after(self):
        for call in (PUT, TRANSACTION, RECORDS, MESSAGES, WRITES, READS, Call("hq", "POST /orders")):
            kinds = Counter(faults.kinds(call))
            schedule = Schedule(1)
            first = Counter(schedule.next(call) for _ in range(2 * len(kinds)))
            self.assertEqual(kinds, Counter({kind: n for kind, n in first.items() if kind}), call.operation)
            second = Counter(schedule.next(call) for _ in range(faults.calls_of_a_round(call)))
            del second[None], kinds[faults.STALLED]
            self.assertEqual(kinds, second, call.operation)

    def test_the_seed_decides_and_operations_do_not_disturb_each_other(self):
        alone, among, other = Schedule(7), Schedule(7), Schedule(8)
        expected = [alone.next(PUT) for _ in range(200)]
        found = []
        for _ in range(200):
            among.next(RECORDS)
            found.append(among.next(PUT))
        self.assertEqual(expected, found)
        self.assertNotEqual(expected, [other.next(PUT) for _ in range(200)])

    def test_only_what_a_call_can_meet(self):
        self.assertIn(faults.IN_PROGRESS, faults.kinds(TRANSACTION))
        self.assertIn(faults.CONFLICT, faults.kinds(PUT))
        for kind in (faults.CONFLICT, faults.PARTIAL, faults.IN_PROGRESS):
            self.assertNotIn(kind, faults.kinds(Call("dynamodb", "GetItem")))
        # Of one write DynamoDB cannot leave a part out.
        one = Call("dynamodb", "BatchWriteItem", {"RequestItems": {"t": ["a"]}})
        schedule = Schedule(1)
        self.assertNotIn(faults.PARTIAL, [schedule.next(one) for _ in range(500)])


class AnswerTest(unittest.TestCase):
    def test_a_conflict_names_the_items_of_a_transaction_by_position(self):
        for seed in range(50):
            answer = faults.conflict(TRANSACTION, random.Random(seed))
            codes = Counter(reason["Code"] for reason in answer.body["CancellationReasons"])
            self.assertEqual(400, answer.status)
            self.assertTrue(answer.body["__type"].endswith("#TransactionCanceledException"))
            self.assertEqual(3, codes.total())
            self.assertIn(codes["TransactionConflict"], (1, 2))
            self.assertEqual(3 - codes["TransactionConflict"], codes["None"])
        self.assertTrue(faults.conflict(PUT, random.Random(1)).body["__type"].endswith("#TransactionConflictException"))

    def test_each_form_of_throttling_comes(self):
        choice = random.Random(1)
        said = {faults.throttled(TRANSACTION, choice).body["__type"].rpartition("#")[2] for _ in range(100)}
        forms = {"ProvisionedThroughputExceededException", "ThrottlingException", "TransactionCanceledException"}
        self.assertEqual(forms, said)
        self.assertEqual((429, "1"), status_and_delay(faults.throttled(Call("hq", "POST /orders"), choice)))


def status_and_delay(answer: faults.Answer) -> tuple[int, str | None]:
    return answer.status, answer.headers.get("Retry-After")


class PartOfBatchTest(unittest.TestCase):
    """What went on and what the answer names as left out are the whole, each part once."""

    def parts(self, call: Call):
        for seed in range(40):
            yield part_of_batch(call, random.Random(seed))

    def test_records_are_answered_by_position(self):
        for part in self.parts(RECORDS):
            taken = [record["Data"] for record in part.sent["Records"]] if part.sent else []
            answer = part.complete({"FailedRecordCount": 0, "Records": [{"SequenceNumber": name} for name in taken]})
            self.assertEqual(4 - len(taken), answer["FailedRecordCount"])
            self.assertGreater(answer["FailedRecordCount"], 0)
            for name, said in zip("abcd", answer["Records"], strict=True):
                self.assertEqual(said.get("SequenceNumber"), name if name in taken else None)
                self.assertEqual("ErrorCode" in said, name not in taken)

    def test_messages_are_answered_by_id(self):
        for part in self.parts(MESSAGES):
            taken = part.sent["Entries"] if part.sent else []
            answer = part.complete({"Successful": [{"Id": entry["Id"]} for entry in taken]})
            ids = [said["Id"] for said in answer["Successful"] + answer["Failed"]]
            self.assertEqual(["0", "1", "2", "3"], sorted(ids))
            self.assertTrue(answer["Failed"])
            self.assertFalse(any(said["SenderFault"] for said in answer["Failed"]))

    def test_writes_left_out_are_named(self):
        for part in self.parts(WRITES):
            answer = part.complete({"UnprocessedItems": {}})
            self.assertTrue(part.sent["RequestItems"] and answer["UnprocessedItems"])
            self.assertEqual({"t": ["a", "b"], "u": ["c"]}, both(part.sent["RequestItems"], answer["UnprocessedItems"]))

    def test_reads_left_out_are_named_with_what_else_was_asked(self):
        for part in self.parts(READS):
            sent, left = part.sent["RequestItems"], part.complete({"Responses": {}})["UnprocessedKeys"]
            self.assertTrue(sent and left)
            keys = [{table: reads["Keys"] for table, reads in some.items()} for some in (sent, left)]
            self.assertEqual({"t": ["a", "b"], "u": ["c"]}, both(*keys))
            for some in (sent, left):
                self.assertEqual({"t"} & some.keys(), {table for table in some if some[table].get("ConsistentRead")})


def both(some: dict, others: dict) -> dict:
    return {table: sorted(parts) for table, parts in faults.joined(some, others).items()}


class Scripted:
    """A schedule of one fault after the other."""

    def __init__(self, *kinds: str | None):
        self.kinds = list(kinds)

    def next(self, call: Call) -> str | None:
        return self.kinds.pop(0) if self.kinds else None


class Service:
    """Stands for the emulator: remembers what took effect, and answers what was sent."""

    def __init__(self):
        self.effects: list[str] = []

    async def serve(self, reader, writer) -> None:
        while request := await read_message(reader):
            self.effects.append(request.body.decode())
            # As chunks, which the emulator may send too.
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for part in (request.body[:3], request.body[3:]):
                writer.write(b"%x\r\n%s\r\n" % (len(part), part) if part else b"")
            writer.write(b"0\r\n\r\n")
        writer.close()


@asynccontextmanager
async def proxied(*kinds: str | None):
    """A service behind a proxy whose next calls meet these faults; and a caller's connection to it."""
    service = Service()
    real = await asyncio.start_server(service.serve, processes.HOST, 0)
    proxy = Proxy(1, real.sockets[0].getsockname()[1], real.sockets[0].getsockname()[1])
    proxy.schedule, proxy.on = Scripted(*kinds), True
    front = await asyncio.start_server(proxy.serve_aws, processes.HOST, 0)
    caller = Upstream(front.sockets[0].getsockname()[1])
    try:
        yield service, proxy, caller
    finally:
        caller.close()
        front.close()
        real.close()
        # Each connection ends by itself once its caller's has.
        await asyncio.sleep(0.05)


def request(operation: str, sent: dict, service: str = "DynamoDB_20120810") -> Message:
    return Message("POST / HTTP/1.1", [("X-Amz-Target", f"{service}.{operation}")], json.dumps(sent).encode())


class ProxyTest(unittest.IsolatedAsyncioTestCase):
    sent = {"TableName": "t"}
    wire = json.dumps(sent)

    def setUp(self):
        for name, short in (("LATE_SECONDS", (0.4, 0.5)), ("STALL_SECONDS", 0.4), ("DELAY_SECONDS", (0.4, 0.5))):
            patch = unittest.mock.patch.object(fault_proxy, name, short)
            patch.start()
            self.addCleanup(patch.stop)

    async def test_without_a_fault_all_passes_on_one_connection(self):
        async with proxied() as (service, proxy, caller):
            for _ in range(3):
                answer = await caller.exchange(request("PutItem", self.sent))
                self.assertEqual(("HTTP/1.1 200 OK", self.wire), (answer.start, answer.body.decode()))
            self.assertEqual([self.wire] * 3, service.effects)
            self.assertEqual({"dynamodb PutItem": 3}, proxy.calls)
            self.assertFalse(proxy.faults)

    async def test_what_is_none_of_its_business_passes_whatever_is_scheduled(self):
        async with proxied(faults.RESET) as (service, _, caller):
            await caller.exchange(Message("GET /x HTTP/1.1"))
            self.assertEqual([""], service.effects)

    async def test_a_broken_connection_may_hide_an_effect_or_not(self):
        for kind, effects in ((faults.RESET, 0), (faults.REPLY_LOST, 1), (faults.REPLY_CUT, 1)):
            async with proxied(kind) as (service, proxy, caller):
                with self.assertRaises(Broken, msg=kind):
                    await caller.exchange(request("PutItem", self.sent))
                self.assertEqual([self.wire] * effects, service.effects, kind)
                self.assertEqual({"dynamodb": {kind: 1}}, proxy.faults)
                caller.close()
                # The next call is well again.
                await caller.exchange(request("PutItem", self.sent))

    async def test_a_refusal_has_no_effect_but_for_a_transaction_in_progress(self):
        for kind, effects in (
            (faults.THROTTLED, 0), (faults.UNAVAILABLE, 0), (faults.CONFLICT, 0), (faults.IN_PROGRESS, 1),
        ):  # fmt: skip
            async with proxied(kind) as (service, _, caller):
                answer = await caller.exchange(request("TransactWriteItems", TRANSACTION.sent))
                self.assertNotIn(" 200 ", answer.start, kind)
                self.assertIn("__type", json.loads(answer.body))
                self.assertEqual(effects, len(service.effects), kind)

    async def test_what_is_late_takes_effect_after_the_caller_went_on(self):
        async with proxied(faults.LATE) as (service, _, caller):
            with self.assertRaises(Broken):
                await caller.exchange(request("PutItem", {"first": 1}))
            caller.close()
            await caller.exchange(request("PutItem", {"second": 2}))
            self.assertEqual(['{"second": 2}'], service.effects)
            # Faults are over only when it has arrived.
            said = json.loads((await caller.exchange(Message("POST /_faults HTTP/1.1", [], b'{"on": false}'))).body)
            self.assertEqual(['{"second": 2}', '{"first": 1}'], service.effects)
            self.assertEqual({"dynamodb": {"late": 1}}, said["faults"])

    async def test_what_is_held_back_takes_effect_though_nobody_waits(self):
        for kind in (faults.STALLED, faults.DELAYED):
            async with proxied(None, kind) as (service, _, caller):
                await caller.exchange(request("PutItem", {"first": 1}))
                with self.assertRaises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await caller.exchange(request("PutItem", self.sent))
                caller.close()
                self.assertEqual(['{"first": 1}'], service.effects, kind)
                await asyncio.sleep(1)
                self.assertEqual(['{"first": 1}', self.wire], service.effects, kind)

    async def test_of_a_batch_a_part_goes_on(self):
        async with proxied(faults.PARTIAL) as (service, _, caller):
            call = request("BatchWriteItem", WRITES.sent)
            call.headers.append(("Authorization", "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/dynamodb/x, S"))
            answer = json.loads((await caller.exchange(call)).body)
            [effect] = service.effects
            done = json.loads(effect)["RequestItems"]
            self.assertEqual(WRITES.sent["RequestItems"], both(done, answer["UnprocessedItems"]))

    async def test_switched_off_it_lets_all_pass(self):
        async with proxied(faults.RESET, faults.RESET) as (service, proxy, caller):
            await caller.exchange(Message("POST /_faults HTTP/1.1", [], b'{"on": false}'))
            await caller.exchange(request("PutItem", self.sent))
            self.assertEqual([self.wire], service.effects)
            self.assertFalse(proxy.faults)


if __name__ == "__main__":
    unittest.main()
