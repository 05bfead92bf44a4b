"""The actions of the till as the till itself lists them: what goes over all of them forgets none."""

from api import Api, Refused

LISTED = "the actions are "
# So long may a process remember what a tenant's rules were (shared/app/src/tenant_rules).
RULES_SECONDS = 16


def listed(api: Api, envelope: dict) -> list[str]:
    """Every action, from the refusal of one that is none. `envelope`: of a command that is right otherwise."""
    try:
        api.post("/v1/pos/command", {**envelope, "action": "?"})
    except Refused as refusal:
        body = refusal.reply.body
        [error] = body.get("errors") or [{"message": str(body)}]
        if body.get("code") == "unknown_action" and error["message"].startswith(LISTED):
            return error["message"].removeprefix(LISTED).split(", ")
        raise AssertionError(f"an unknown action was answered {body}") from refusal
    raise AssertionError("an unknown action was taken")


def require_all(known, listed_ones: list[str]) -> None:
    """Raises an AssertionError unless `known` are exactly the actions that there are."""
    missing, extra = set(listed_ones) - set(known), set(known) - set(listed_ones)
    if missing or extra or len(listed_ones) != len(set(listed_ones)):
        raise AssertionError(f"actions that nobody tries: {sorted(missing)}; that there are not: {sorted(extra)}")
