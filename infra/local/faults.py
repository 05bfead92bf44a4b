"""What AWS and HQ do now and then and an emulator never does: which faults a call can meet, in which
order they come, and what each answers.

Sources: API references of DynamoDB (TransactWriteItems, BatchWriteItem, "Error handling"), Kinesis
(PutRecords) and SQS (SendMessageBatch); RFC 9110 for HQ's 429 and 503.
"""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

# Nothing took effect: the connection is reset before the request goes on, or there is too much to do.
RESET = "reset"
THROTTLED = "throttled"
UNAVAILABLE = "unavailable"
# Nothing took effect: another transaction has one of the items.
CONFLICT = "conflict"
# Only a part of a batch took effect, and the answer says which.
PARTIAL = "partial"
# It took effect, and the caller does not learn it: no answer, or a part of one.
REPLY_LOST = "reply lost"
REPLY_CUT = "reply cut"
# It takes effect, and the caller is told that it is still at work (only where it carries a token).
IN_PROGRESS = "in progress"
# It takes effect a little later, and the caller learns it.
DELAYED = "delayed"
# It takes effect after the caller's connection broke, and so after whatever the caller did next.
LATE = "late"
# The same, but the caller waited until its own time was up.
STALLED = "stalled"

ANY_CALL = [RESET, THROTTLED, UNAVAILABLE, REPLY_LOST, REPLY_CUT, DELAYED, LATE, STALLED]

TRANSACTIONS = {"TransactWriteItems", "TransactGetItems"}
WRITES_OF_ONE_ITEM = {"PutItem", "UpdateItem", "DeleteItem"}
# Batch -> how many parts it has.
BATCHES: dict[str, Callable[[dict], int]] = {
    "PutRecords": lambda sent: len(sent["Records"]),
    "SendMessageBatch": lambda sent: len(sent["Entries"]),
    "BatchWriteItem": lambda sent: sum(len(requests) for requests in sent["RequestItems"].values()),
    "BatchGetItem": lambda sent: sum(len(reads["Keys"]) for reads in sent["RequestItems"].values()),
}
# In the first calls of an operation every other one meets a fault, each kind once: of some operations there
# are few in a day, and chance alone could leave a kind out. After that it is once in so many calls, fewer for
# what makes a sale final.
CALLS_OF_A_ROUND = {"TransactWriteItems": 40}
CALLS_OF_A_ROUND_ELSE = 80
# A stalled call takes seconds: it comes in every so many rounds only.
STALLS_EVERY = 5


@dataclass(frozen=True)
class Call:
    """A request to a service, as far as its faults depend on it."""

    # dynamodb, kinesis, sqs or hq.
    service: str
    operation: str
    # The JSON that was sent; empty where it is none of ours to read (HQ).
    sent: dict = field(default_factory=dict)

    @property
    def parts(self) -> int:
        """How many parts a batch has; 0 where it is none."""
        return BATCHES[self.operation](self.sent) if self.operation in BATCHES else 0

    @property
    def has_token(self) -> bool:
        return "ClientRequestToken" in self.sent


def kinds(call: Call) -> list[str]:
    """The faults that a call can meet."""
    met = list(ANY_CALL)
    if call.operation in TRANSACTIONS | WRITES_OF_ONE_ITEM:
        met.append(CONFLICT)
    if call.operation in BATCHES:
        met.append(PARTIAL)
    if call.has_token:
        met.append(IN_PROGRESS)
    if call.service == "hq":
        # The dispatcher waits 10 s for HQ: one such wait would hold all orders of its batch, and the
        # stand-in for HQ has a mode for it, with tests of its own.
        met.remove(STALLED)
    return met


def calls_of_a_round(call: Call) -> int:
    return CALLS_OF_A_ROUND.get(call.operation, CALLS_OF_A_ROUND_ELSE)


class Schedule:
    """Which call meets which fault: for each operation rounds of calls, in each of which every kind comes once,
    shuffled by the seed."""

    def __init__(self, seed: int):
        self.seed = seed
        self.rounds: Counter[str] = Counter()
        self.left: dict[str, list[str | None]] = {}

    def next(self, call: Call) -> str | None:
        """The fault that this call meets, if any."""
        operation = f"{call.service} {call.operation}"
        left = self.left.setdefault(operation, [])
        if not left:
            self.rounds[operation] += 1
            left += self.round(call, self.rounds[operation])
            random.Random(f"{self.seed} {operation} {self.rounds[operation]}").shuffle(left)
        kind = left.pop()
        if kind == PARTIAL and call.service == "dynamodb" and call.parts < 2:
            # DynamoDB does one part at least, or says that it is throttled.
            return THROTTLED
        return kind

    @staticmethod
    def round(call: Call, number: int) -> list[str | None]:
        """The calls of a round, not shuffled yet."""
        if number == 1:
            return [kind for met in kinds(call) for kind in (met, None)]
        met = [kind for kind in kinds(call) if kind != STALLED or number % STALLS_EVERY == 0]
        return [*met, *[None] * (calls_of_a_round(call) - len(met))]


@dataclass(frozen=True)
class Answer:
    """An answer made here."""

    status: int
    body: dict
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, code: str, message: str, **members) -> Answer:
    """An error as the services of the JSON protocol answer it."""
    return Answer(status, {"__type": code, "message": message, **members})


def dynamodb_error(status: int, name: str, message: str, **members) -> Answer:
    return error(status, f"com.amazonaws.dynamodb.v20120810#{name}", message, **members)


def cancelled(call: Call, choice: random.Random, code: str, message: str) -> Answer:
    """A transaction that one or two of its items would not let through."""
    count = len(call.sent["TransactItems"])
    culprits = set(choice.sample(range(count), min(count, choice.choice([1, 1, 2]))))
    reasons = [{"Code": code, "Message": message} if i in culprits else {"Code": "None"} for i in range(count)]
    named = ", ".join(reason["Code"] for reason in reasons)
    return dynamodb_error(
        400,
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{named}]",
        CancellationReasons=reasons,
    )


def conflict(call: Call, choice: random.Random) -> Answer:
    """Another transaction has an item."""
    if call.operation in TRANSACTIONS:
        return cancelled(call, choice, "TransactionConflict", "Transaction is ongoing for the item")
    return dynamodb_error(400, "TransactionConflictException", "Transaction is ongoing for the item")


def in_progress() -> Answer:
    message = "The transaction with the given request token is already in progress."
    return dynamodb_error(400, "TransactionInProgressException", message)


EXCEEDED = (
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing your "
    "provisioning level with the UpdateTable API."
)


def throttled(call: Call, choice: random.Random) -> Answer:
    """Too much at once, in each of the forms that a service has for it."""
    if call.service == "hq":
        return Answer(429, {"title": "Too many requests"}, {"Retry-After": "1"})
    if call.service == "sqs":
        headers = {"x-amzn-query-error": "RequestThrottled;Sender"}
        return Answer(400, {"__type": "com.amazonaws.sqs#RequestThrottled", "message": "Slow down."}, headers)
    if call.service == "kinesis":
        return error(400, "ProvisionedThroughputExceededException", "Rate exceeded for shard shardId-000000000000")
    forms = [
        lambda: dynamodb_error(400, "ProvisionedThroughputExceededException", EXCEEDED),
        lambda: error(400, "com.amazon.coral.availability#ThrottlingException", "Rate of requests exceeds the limit"),
    ]
    if call.operation in TRANSACTIONS:
        forms += [
            lambda: cancelled(call, choice, "ThrottlingError", "Throughput exceeds the current capacity"),
            lambda: cancelled(call, choice, "ProvisionedThroughputExceeded", EXCEEDED),
        ]
    return choice.choice(forms)()


def unavailable(call: Call, choice: random.Random) -> Answer:
    """The service's own fault; nothing took effect."""
    if call.service == "hq":
        return Answer(503, {"title": "Down for maintenance"}, {"Retry-After": "1"} if choice.random() < 0.5 else {})
    if choice.random() < 0.5:
        return error(500, "InternalServerError", "The request could not be completed. Please retry.")
    return error(503, "ServiceUnavailable", "Service is temporarily unavailable.")


@dataclass(frozen=True)
class PartOfBatch:
    """A batch of which only a part goes on."""

    # What goes on; None where nothing does, and the answer is made from nothing.
    sent: dict | None
    # The service's answer about that part -> the answer about the whole.
    complete: Callable[[dict], dict]


def part_of_batch(call: Call, choice: random.Random) -> PartOfBatch:
    """Leaves at least one part of a batch out, and of DynamoDB's not all."""
    count = call.parts
    most = count - 1 if call.service == "dynamodb" else count
    left_out = set(choice.sample(range(count), choice.randint(1, most)))
    return {
        "PutRecords": part_of_records,
        "SendMessageBatch": part_of_messages,
        "BatchWriteItem": part_of_writes,
        "BatchGetItem": part_of_reads,
    }[call.operation](call.sent, left_out)


def part_of_records(sent: dict, left_out: set[int]) -> PartOfBatch:
    records = sent["Records"]
    taken = [record for i, record in enumerate(records) if i not in left_out]
    code = "ProvisionedThroughputExceededException"
    refused = {"ErrorCode": code, "ErrorMessage": "Rate exceeded for shard shardId-000000000000 in stream"}

    def complete(answer: dict) -> dict:
        of_taken = iter(answer.get("Records", []))
        whole = [refused if i in left_out else next(of_taken) for i in range(len(records))]
        return {**answer, "FailedRecordCount": answer.get("FailedRecordCount", 0) + len(left_out), "Records": whole}

    return PartOfBatch({**sent, "Records": taken} if taken else None, complete)


def part_of_messages(sent: dict, left_out: set[int]) -> PartOfBatch:
    entries = sent["Entries"]
    taken = [entry for i, entry in enumerate(entries) if i not in left_out]
    failed = [
        {"Id": entries[i]["Id"], "SenderFault": False, "Code": "InternalError", "Message": "Please try again."}
        for i in sorted(left_out)
    ]

    def complete(answer: dict) -> dict:
        return {"Successful": answer.get("Successful", []), "Failed": answer.get("Failed", []) + failed}

    return PartOfBatch({**sent, "Entries": taken} if taken else None, complete)


def part_of_writes(sent: dict, left_out: set[int]) -> PartOfBatch:
    taken, rest = divided(sent["RequestItems"], left_out)

    def complete(answer: dict) -> dict:
        return {**answer, "UnprocessedItems": joined(answer.get("UnprocessedItems") or {}, rest)}

    return PartOfBatch({**sent, "RequestItems": taken}, complete)


def part_of_reads(sent: dict, left_out: set[int]) -> PartOfBatch:
    items = sent["RequestItems"]
    taken, rest = divided({table: reads["Keys"] for table, reads in items.items()}, left_out)

    def with_keys(tables: dict[str, list]) -> dict:
        return {table: {**items[table], "Keys": keys} for table, keys in tables.items()}

    def complete(answer: dict) -> dict:
        before = {table: reads["Keys"] for table, reads in (answer.get("UnprocessedKeys") or {}).items()}
        return {**answer, "UnprocessedKeys": with_keys(joined(before, rest))}

    return PartOfBatch({**sent, "RequestItems": with_keys(taken)}, complete)


def divided(tables: dict[str, list], left_out: set[int]) -> tuple[dict[str, list], dict[str, list]]:
    """What is taken and what is left out, by table; positions count on from table to table."""
    taken: dict[str, list] = {}
    rest: dict[str, list] = {}
    position = 0
    for table, parts in tables.items():
        for part in parts:
            (rest if position in left_out else taken).setdefault(table, []).append(part)
            position += 1
    return taken, rest


def joined(some: dict[str, list], others: dict[str, list]) -> dict[str, list]:
    return {table: some.get(table, []) + others.get(table, []) for table in {**some, **others}}


def call_to_aws(target: str, body: bytes) -> Call | None:
    """What an X-Amz-Target header and the body under it ask; None for a service that is left alone."""
    prefix, _, operation = target.partition(".")
    service = {"DynamoDB_20120810": "dynamodb", "Kinesis_20131202": "kinesis", "AmazonSQS": "sqs"}.get(prefix)
    return Call(service, operation, json.loads(body)) if service else None
