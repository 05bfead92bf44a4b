"""What schemathesis does not know by itself; it loads this file in its own environment."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context, value) -> bytes:
    """A feed of one line."""
    return json.dumps(value).encode() + b"\n"
