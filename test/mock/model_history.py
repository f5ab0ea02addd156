"""Conversations as a model server may remember them: what came back must be what was said.

A request is refused when it is not, byte for byte, the history of a request answered
before, then exactly that answer, then something new; or that same request once more,
which means that its answer was lost. Standard library only.
"""

import json
import re

MARK = re.compile(rb"\[conv:([A-Za-z0-9_.-]+)\]")


def raw_members(text):
    """Members of the JSON object text (str), each with the slice it stands in."""
    decoder = json.JSONDecoder()
    blank = re.compile(r"[ \t\r\n]*")
    at = blank.match(text, 0).end()
    out = {}
    if text[at:at + 1] != "{":
        raise ValueError("no object")
    at = blank.match(text, at + 1).end()
    while text[at:at + 1] == '"':
        key, at = decoder.raw_decode(text, at)
        at = blank.match(text, at).end()
        if text[at:at + 1] != ":":
            raise ValueError("no colon")
        start = blank.match(text, at + 1).end()
        value, at = decoder.raw_decode(text, start)
        out[key] = (value, text[start:at])
        at = blank.match(text, at).end()
        if text[at:at + 1] != ",":
            break
        at = blank.match(text, at + 1).end()
    return out


def without_nulls(value):
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


def comparable(protocol, item):
    """An item of the history, without what may be left out when it is sent back."""
    item = without_nulls(item)
    if protocol == "chat" and isinstance(item, dict):
        item = {k: v for k, v in item.items() if k in ("role", "content", "tool_calls", "refusal", "reasoning_details")}
        if item.get("content", "") == "":
            item.pop("content", None)
        for call in item.get("tool_calls", []):
            call.pop("index", None)
    if protocol == "responses" and isinstance(item, dict):
        item = dict(item)
        for part in item.get("content", []) if isinstance(item.get("content"), list) else []:
            if isinstance(part, dict):
                part.pop("parsed", None)
        item.pop("parsed_arguments", None)
    if protocol == "messages" and isinstance(item, dict) and isinstance(item.get("content"), list):
        for block in item["content"]:
            if isinstance(block, dict):
                block.pop("parsed", None)
    return item


class Histories:
    """By conversation: the requests answered, each with its answers. Linear ones have one request for each turn."""

    def __init__(self, linear=False):
        self.linear = linear
        self.answered = {}

    @staticmethod
    def name(headers, body):
        named = headers.get("x-conversation")
        found = MARK.search(body)
        return named or (found.group(1).decode() if found else None)

    @staticmethod
    def inner(raw):
        """The items of a JSON array's text, without what surrounds them."""
        return raw.strip()[1:-1].strip()

    def check(self, name, protocol, raw, items):
        """(None, repeat) when the request fits, else (why not, False)."""
        known = self.answered.get(name)
        text = self.inner(raw)
        if not known:
            return None, False
        if text in known:
            return None, True
        turn = turns(protocol, items)
        if self.linear:
            for other, (spoken, _) in known.items():
                if spoken == turn:
                    return self.difference(other, text), False
        best = "nothing was answered that it could follow"
        for before, (spoken, answers) in known.items():
            for answer in answers:
                # it must follow the last thing that was said, not some earlier one
                if spoken + bool(answer) != turn:
                    continue
                if not text.startswith(before) or text[len(before):].lstrip()[:1] != ",":
                    best = self.difference(before, text)
                    continue
                count = len(json.loads("[" + before + "]"))
                came = [comparable(protocol, i) for i in items[count:count + len(answer)]]
                if came == [comparable(protocol, i) for i in answer]:
                    return None, False
                best = "%s was answered, %s came back" % (json.dumps(answer)[:1000], json.dumps(items[count:count + len(answer)])[:1000])
        return best, False

    @staticmethod
    def difference(before, text):
        at = next((i for i, (a, b) in enumerate(zip(before, text)) if a != b), min(len(before), len(text)))
        return "byte %d: %r was there, %r came" % (at, before[max(0, at - 20):at + 20], text[max(0, at - 20):at + 20])

    def note(self, name, protocol, raw, items, answer):
        """answer: the items that must come back; empty: none need to."""
        if name is not None:
            known = self.answered.setdefault(name, {})
            known.setdefault(self.inner(raw), (turns(protocol, items), []))[1].append(answer)


def turns(protocol, items):
    """How often the model has spoken in this history."""
    n = 0
    last = None
    for item in items:
        if not isinstance(item, dict):
            continue
        mine = item.get("role") == "assistant" or item.get("type") in ("function_call", "reasoning")
        if mine and (protocol != "responses" or not last):
            n += 1
        last = mine
    return n


def unanswered(protocol, items):
    """What the real API would refuse: calls without results, results without calls."""
    open_calls = set()
    for item in items:
        if not isinstance(item, dict):
            return "an item is no object"
        content = item.get("content")
        blocks = content if isinstance(content, list) else []
        if protocol == "messages":
            results = {b.get("tool_use_id") for b in blocks if isinstance(b, dict) and b.get("type") == "tool_result"}
            if content in ("", [], None):
                return "messages: all messages must have non-empty content"
            if open_calls and (item.get("role") != "user" or results != open_calls):
                return "`tool_use` ids were found without `tool_result` blocks immediately after: " + ", ".join(sorted(map(str, open_calls)))
            if results and not open_calls:
                return "unexpected `tool_use_id` found in `tool_result` blocks"
            open_calls = {b.get("id") for b in blocks if isinstance(b, dict) and b.get("type") == "tool_use"}
            if any(b.get("type") == "text" and b.get("text") == "" for b in blocks if isinstance(b, dict)):
                return "text content blocks must be non-empty"
        elif protocol == "chat":
            if item.get("role") == "tool":
                if item.get("tool_call_id") not in open_calls:
                    return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
                open_calls.discard(item.get("tool_call_id"))
                continue
            if open_calls:
                return "tool_call_ids did not have response messages: " + ", ".join(sorted(map(str, open_calls)))
            for call in item.get("tool_calls") or []:
                if not isinstance(call.get("function", {}).get("arguments"), str):
                    return "arguments of a tool call must be a string"
                open_calls.add(call.get("id"))
        elif item.get("type") == "function_call":
            open_calls.add(item.get("call_id"))
        elif item.get("type") == "function_call_output":
            if item.get("call_id") not in open_calls:
                return "No tool call found for function call output with call_id " + str(item.get("call_id"))
            open_calls.discard(item.get("call_id"))
    return "No tool output found for " + ", ".join(sorted(map(str, open_calls))) if open_calls else None
