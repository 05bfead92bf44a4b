"""Tests the running stack against its own OpenAPI document: schemathesis makes requests from it, valid ones
and wrong ones, and judges every answer by it. No answer may be a 5xx or one that the document does not
know: status, media type, headers, body. What the document forbids must be refused, and so must a request
without a token.

    openapi.py [--directory target/local]      against a running stack

What the examples of the document name is there: a store, a product, an order, a reservation, a dead letter.
"""

import copy
import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path

import checks
import prerequisites
from prerequisites import ROOT
from progress import step

TENANT = "openapi"
HERE = Path(__file__).parent
ENVIRONMENT = ROOT / "target" / "tools" / "schemathesis"
REQUIREMENTS = HERE / "requirements-schemathesis.txt"
STORE, SKU = "s-uk-1", "85123A"
ORDER, REFUSED_ORDER, RESERVATION, CART = "o-1", "o-2", "v-1", "c-1"
SECONDS_MAX = 1_800
# What schemathesis calls an answer that is not documented, by status, media type and body; a wrong request that
# is taken; and one without a token that is.
MISTAKES = ["ST103", "ST105", "ST108", "ST201", "ST401"]
# A refused message is a dead letter after five attempts, the waits between them doubling from a second.
DEAD_SECONDS_MAX = 240


def run(stack) -> None:
    """Raises an AssertionError if any answer is not as the document says, or if that would not be seen."""
    with step("What the document's examples name") as details:
        details.say(load(stack))
    loaded = time.monotonic()
    program = prerequisites.environment(ENVIRONMENT, REQUIREMENTS).parent / "st"
    with urllib.request.urlopen(f"{stack.endpoint()}/v1/openapi.json", timeout=30) as reply:
        document = json.load(reply)
    with step("A document with five mistakes: each is found") as details:
        spoiled, paths = spoil(document)
        only = [part for path in paths for part in ("--include-path", path)]
        ended = schemathesis(program, stack, spoiled, only, capture_output=True, text=True)
        unseen = [code for code in MISTAKES if f"- {code} " not in ended.stdout]
        if ended.returncode == 0 or unseen:
            raise AssertionError(f"not found: {unseen}\n{ended.stdout[-3000:]}")
    with step("The order that HQ refuses is a dead letter") as details:
        wait_for_dead_letter(stack)
        details.say(f"after {time.monotonic() - loaded:.0f} s at most")
    if schemathesis(program, stack, document, []).returncode != 0:
        raise AssertionError("the API and its OpenAPI document do not agree; each difference is listed above")


def schemathesis(program: Path, stack, document: dict, options: list[str], **how) -> subprocess.CompletedProcess:
    """Tests the stack against a document."""
    file = stack.directory / "openapi.json"
    file.write_text(json.dumps(document))
    command = [program, "--config-file", HERE / "schemathesis.toml", "run", file]
    command += ["--url", stack.endpoint(), "--header", f"Authorization: Bearer {stack.token(TENANT)}"]
    # One worker: Python 3.11 counts the depth of its parser for all threads together, and several that compile
    # at once end as "AST constructor recursion depth mismatch" (github.com/python/cpython/issues/106905).
    command += ["--workers", "1", "--continue-on-failure", "--no-color", *options]
    return subprocess.run(
        [str(part) for part in command],
        # What it keeps from run to run is left where it is started.
        cwd=stack.directory,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_hooks.py")},
        timeout=SECONDS_MAX,
        **how,
    )


def spoil(document: dict) -> tuple[dict, list[str]]:
    """The document with one mistake for each of `MISTAKES`, and the paths of which these are."""
    spoiled = copy.deepcopy(document)
    paths, schemas = spoiled["paths"], spoiled["components"]["schemas"]
    del paths["/v1/orders/{id}"]["get"]["responses"]["404"]
    paths["/v1/warehouses"]["get"]["responses"]["200"]["content"] = {"text/csv": {"schema": {"type": "string"}}}
    schemas["StockLevel"]["properties"]["on_hand"] = {"type": "boolean"}
    [limit] = [one for one in paths["/v1/locations"]["get"]["parameters"] if one["name"] == "limit"]
    limit["schema"]["maximum"] = 100
    del paths["/v1/health"]["get"]["security"]
    of = ["/v1/orders/{id}", "/v1/warehouses", "/v1/inventory/{location_id}/{sku}", "/v1/locations", "/v1/health"]
    return spoiled, of


def load(stack) -> str:
    import at_rest
    import replay
    from api import Api

    api = Api(stack.endpoint(), stack.token(TENANT))

    def feed(entity: str, id: str, data: dict) -> None:
        [chunk] = replay.chunks(entity, [(id, data)], 1)
        replay.upload(api, entity, chunk)

    def order(id: str) -> None:
        body = {"order_id": id, "store_id": STORE, "channel": "web", "lines": [{"sku": SKU, "quantity": 1}]}
        api.post("/v1/orders", body, {"Idempotency-Key": id})

    place = {"kind": "store", "name": "London", "time_zone": "Europe/London", "currency": "GBP", "registers": ["r-1"]}
    feed("locations", STORE, {"id": STORE, **place})
    feed("catalog", SKU, {"sku": SKU, "name": "WHITE HANGING HEART", "unit_price": "2.55", "currency": "GBP"})
    feed("inventory", f"{STORE}/{SKU}", {"location_id": STORE, "sku": SKU, "on_hand": 1_000_000})
    at_rest.HeadOffice(stack.hq_port).control(refuse_orders=[REFUSED_ORDER])
    order(ORDER)
    order(REFUSED_ORDER)
    lines = [{"location_id": STORE, "sku": SKU, "quantity": 1}]
    held = {"reservation_id": RESERVATION, "lines": lines, "ttl_seconds": 86_400}
    api.post("/v1/inventory/reserve", held, {"Idempotency-Key": RESERVATION})
    opened = {"store_id": STORE, "register_id": "r-1", "action": "create_cart", "payload": {"cart_id": CART}}
    api.post("/v1/pos/command", {"version": "1", "idempotency_key": CART, **opened})
    return "a store, a product, two orders, a reservation, a cart"


def wait_for_dead_letter(stack) -> None:
    """HQ has refused an order since it was loaded; from now on it takes all."""
    import at_rest
    from api import Api

    api = Api(stack.endpoint(), stack.token(TENANT))
    deadline = time.monotonic() + DEAD_SECONDS_MAX
    # Where it ran before, it may be discarded or sent since.
    while api.get(f"/v1/dispatch/deliveries/{REFUSED_ORDER}.1")["status"] in ("pending", "waiting"):
        if time.monotonic() > deadline:
            raise AssertionError(f"the refused order is no dead letter after {DEAD_SECONDS_MAX} s")
        time.sleep(0.5)
    at_rest.HeadOffice(stack.hq_port).control(refuse_orders=[])


if __name__ == "__main__":
    checks.main("openapi.py", run)
