"""A day through a stack whose functions are killed while what they call fails: everything that AWS and HQ
do now and then and an emulator never does (faults.py), in every call of every function."""

import os
import time
from contextlib import contextmanager

import faults
import processes
from fault_proxy import FaultProxy
from progress import note, step

# The same faults in every run, as far as the order of calls is the same; another one by CHAOS_SEED.
SEED = int(os.environ.get("CHAOS_SEED", "20101203"))
# The dispatcher's timeout is 25 s.
VISIBILITY_SECONDS = 30
# After the last sale faults go on until the figures are complete, and have been read with at least so many faults
# beneath; but not for longer than this. What is not complete then has to become so without faults.
DRAINING_SECONDS_MAX = 45
DRAINING_FAULTS_MIN = 20
DRAINING_PAUSE_SECONDS = 0.5
# The SDK prefers these to AWS_ENDPOINT_URL, which the emulator sets to its own.
AWS_ENDPOINTS = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_SQS"]
# A wide event of what failed for good; an error that only a defect has (tillstream_app::Error::Bug); a panic.
DEFECT_MARKS = ['"outcome":"failed"', "bug: ", "panicked"]
# Not ours: where the emulator ends an environment it answers the call for the next event with a 500 "so that
# the runtime exits", and the runtime crate does so by a panic of its own.
RUNTIME_CRATE = "/lambda_runtime-"
# Of each service every fault that its calls can meet.
SERVICES = {
    "dynamodb": {*faults.ANY_CALL, faults.CONFLICT, faults.PARTIAL, faults.IN_PROGRESS},
    "kinesis": {*faults.ANY_CALL, faults.PARTIAL},
    "sqs": {*faults.ANY_CALL, faults.PARTIAL},
    "hq": {*faults.ANY_CALL} - {faults.STALLED},
}


@contextmanager
def proxied(stack, port: int, hq_port: int):
    """A proxy between the functions of a stack and what they call. At the end they call it directly again."""
    proxy = FaultProxy(stack.directory, port, hq_port, SEED)
    proxy.start(stack.port, stack.hq_port)
    try:
        connect(stack, aws_port=port, hq_port=hq_port)
        with impatient_queue(stack):
            yield proxy
    finally:
        if stack.emulator.id() is not None:
            connect(stack, aws_port=None, hq_port=stack.hq_port)
        proxy.stop()


@contextmanager
def impatient_queue(stack):
    """Has the queue give wake-ups back sooner whose dispatcher was killed: most of the scenario would be that
    wait. Still longer than a dispatcher may take, so that none works on what another has."""
    cloud = stack.cloud()
    queue, queues = cloud.outputs()["HqQueueUrl"], cloud.client("sqs")
    name = "VisibilityTimeout"
    before = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"][name]
    queues.set_queue_attributes(QueueUrl=queue, Attributes={name: str(VISIBILITY_SECONDS)})
    try:
        yield
    finally:
        if stack.emulator.id() is not None:
            queues.set_queue_attributes(QueueUrl=queue, Attributes={name: before})


def connect(stack, aws_port: int | None, hq_port: int) -> None:
    """Has every function call DynamoDB, Kinesis, SQS and HQ at these ports, from its next process on; without
    a port for AWS at the emulator's. Its runtime API is at an address of its own, which stays."""
    functions = stack.cloud().client("lambda")
    for function in functions.list_functions()["Functions"]:
        variables = function["Environment"]["Variables"]
        for name in AWS_ENDPOINTS:
            variables.pop(name, None)
            if aws_port is not None:
                variables[name] = f"http://{processes.HOST}:{aws_port}"
        if "HQ_URL" in variables:
            variables["HQ_URL"] = f"http://{processes.HOST}:{hq_port}"
        functions.update_function_configuration(
            FunctionName=function["FunctionName"], Environment={"Variables": variables}
        )


@contextmanager
def faulty(proxy: FaultProxy):
    """Faults while the body runs."""
    proxy.switch(True)
    try:
        yield
    finally:
        proxy.switch(False)


def drain(proxy, behind) -> None:
    """Reads the figures again and again while faults go on and what was sold is on its way to them: relay,
    aggregator and dispatcher meet faults also where no further sale comes and pushes on what they left."""
    before, began = occurred(proxy.counts()), time.monotonic()
    with step(f"Faults go on until the figures are complete, for {DRAINING_SECONDS_MAX} s at most") as details:
        while True:
            late = behind()
            met, seconds = occurred(proxy.counts()) - before, time.monotonic() - began
            if (not late and met >= DRAINING_FAULTS_MIN) or seconds >= DRAINING_SECONDS_MAX:
                break
            time.sleep(DRAINING_PAUSE_SECONDS)
        state = f"{len(late)} lanes behind, among them {late[0]}" if late else "all lanes complete"
        details.say(f"{met} faults, {state}")
    if met < DRAINING_FAULTS_MIN:
        raise AssertionError(f"{met} faults occurred after the last sale: that proves nothing of what came after it")


def occurred(counts: dict) -> int:
    """How many faults there were."""
    return sum(sum(kinds.values()) for kinds in counts["faults"].values())


def require_every_kind(counts: dict) -> None:
    """Tells how often each kind of fault occurred; one that did not occur proved nothing."""
    note(f"faults (CHAOS_SEED={SEED}), of all calls:")
    missing = []
    for service, kinds in SERVICES.items():
        calls = sum(count for call, count in counts["calls"].items() if call.startswith(f"{service} "))
        occurred = counts["faults"].get(service, {})
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(occurred.items(), key=lambda pair: -pair[1]))
        note(f"  {service}: {sum(occurred.values())} of {calls}: {told}")
        missing += [f"{service}: {kind}" for kind in sorted(kinds - occurred.keys())]
    if missing:
        raise AssertionError(f"faults that never occurred: {', '.join(missing)}")


def defects(messages: list[str]) -> list[str]:
    """What functions logged that is theirs to mend. A stream's function that met one is asked again until it
    works, and no figure would show it."""
    marked = [message for message in messages if any(mark in message for mark in DEFECT_MARKS)]
    return [message for message in marked if not ("panicked at" in message and RUNTIME_CRATE in message)]


def require_no_defect(stack, since_millis: int) -> None:
    """A fault is to be answered with "again, later", never as a defect."""
    if found := defects([message for _, _, message in stack.log_events(since_millis)]):
        raise AssertionError(f"{len(found)} defects were logged, the first: {found[0][:1000]}")
