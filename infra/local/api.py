"""A client of the public API: one kept-alive connection, the same request again when that is safe."""

import http.client
import json
import random
import socket
import time
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from progress import Failure

ATTEMPT_SECONDS = 60
GIVE_UP_SECONDS = 240
# Answers that say "again, later".
RETRIED = {429, 502, 503, 504}


@dataclass(frozen=True)
class Reply:
    status: int
    body: dict
    headers: dict[str, str]
    attempts: int
    seconds: float = 0.0

    @property
    def is_replay(self) -> bool:
        return self.headers.get("idempotent-replayed") == "true"

    @property
    def says_again(self) -> bool:
        """Whether repeating it later may help. A 409 only when it also says when; a 500 only when it is not
        a function's own answer, but the gateway's for one that died."""
        if self.status == 409:
            return "retry-after" in self.headers
        if self.status == 500:
            return not self.headers.get("content-type", "").startswith("application/problem+json")
        return self.status in RETRIED


class Refused(Failure):
    """An answer that repeating would not change."""

    def __init__(self, method: str, path: str, reply: Reply, sent):
        self.reply = reply
        problem = {key: reply.body.get(key) for key in ("code", "title", "detail", "errors") if reply.body.get(key)}
        sent_text = "" if sent is None else f"\n  sent: {sent[:2000] if isinstance(sent, str) else json.dumps(sent)[:2000]}"
        super().__init__(f"{method} {path} answered {reply.status}: {json.dumps(problem or reply.body)}{sent_text}")


class Api:
    """One connection; not for use by several threads at once."""

    def __init__(self, endpoint: str, token: str):
        parts = urlsplit(endpoint)
        self.host, self.port, self.base = parts.hostname, parts.port, parts.path.rstrip("/")
        self.token = token
        self.connection: http.client.HTTPConnection | None = None

    def get(self, path: str, **query) -> dict:
        given = {key: value for key, value in query.items() if value is not None}
        return self.request("GET", path + ("?" + urlencode(given) if given else "")).body

    def pages(self, path: str, items: str = "items", **query):
        """Every item of a list, page by page."""
        cursor = None
        while True:
            body = self.get(path, limit=200, cursor=cursor, **query)
            yield from body[items]
            cursor = body.get("next_cursor")
            if not cursor:
                return

    def post(self, path: str, body: dict | str, headers: dict[str, str] | None = None) -> Reply:
        return self.request("POST", path, body, headers)

    def request(self, method: str, path: str, body=None, headers: dict[str, str] | None = None) -> Reply:
        """Sends the same request until it has an answer that counts. Functions may be killed at any
        moment, so a lost connection or the gateway's error says nothing about whether it took effect: the
        idempotency key in it makes the repetition safe. A function that answers 500 by itself has a
        defect: that is not repeated, so that it is seen."""
        data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        deadline = time.monotonic() + GIVE_UP_SECONDS
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = self.attempt(method, path, data, headers or {}, attempt)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if time.monotonic() > deadline:
                    raise Failure(f"{method} {path}: no answer after {attempt} attempts: {error!r}") from error
                time.sleep(pause(attempt))
                continue
            if reply.status < 400:
                return reply
            retry_after = reply.headers.get("retry-after")
            if not reply.says_again or time.monotonic() > deadline:
                raise Refused(method, path, reply, body)
            time.sleep(max(float(retry_after or 0), pause(attempt)))

    def attempt(self, method: str, path: str, data: bytes | None, headers: dict[str, str], attempt: int) -> Reply:
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=ATTEMPT_SECONDS)
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.monotonic()
        sent = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", **headers}
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        self.connection.request(method, self.base + path, data, sent)
        response = self.connection.getresponse()
        content = response.read()
        received = {key.lower(): value for key, value in response.getheaders()}
        if received.get("connection", "").lower() == "close":
            self.close()
        try:
            parsed = json.loads(content) if content else {}
        except ValueError:
            parsed = {"title": content[:200].decode(errors="replace")}
        body = parsed if isinstance(parsed, dict) else {"items": parsed}
        return Reply(response.status, body, received, attempt, time.monotonic() - began)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def pause(attempt: int) -> float:
    """Exponential, at most two seconds, with full jitter."""
    return random.uniform(0, min(2.0, 0.05 * 2 ** min(attempt, 6)))


def segment(text: str) -> str:
    """One path segment: SKUs may hold spaces and slashes."""
    return quote(text, safe="")
