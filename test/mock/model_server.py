#!/usr/bin/env python3
"""A double of model providers: Anthropic Messages, Chat Completions, Responses, byte by byte.

What it says, and how it misbehaves while saying it, is given by rules (see README.md). It
counts the calls it has answered whole, and refuses to go on with a conversation whose
history is not what it has answered before. Standard library only, one process, no threads.
Prints its port on the first line of stdout.
"""

import argparse
import asyncio
import collections
import email.utils
import gzip
import itertools
import json
import re
import resource
import socket
import struct
import sys
import time

from model_history import Histories, raw_members, turns, unanswered
from model_shapes import PROTOCOLS, Answer, compact

BODY_MAX = 64 * 1024 * 1024
PATHS = ((re.compile(r"/messages$"), "messages"), (re.compile(r"/chat/completions$"), "chat"), (re.compile(r"/responses$"), "responses"))

# Refusals by name: status, kind, code, headers. "date" and "ms" are made when they are sent.
FAULTS = {
    "rate_seconds": (429, None, "rate_limit_exceeded", {"retry-after": "1"}),
    "rate_date": (429, None, "rate_limit_exceeded", {"retry-after": "date"}),
    "rate_ms": (429, None, "rate_limit_exceeded", {"retry-after-ms": "300"}),
    "rate_none": (429, None, "rate_limit_exceeded", {}),
    "rate_no_retry": (429, None, "rate_limit_exceeded", {"x-should-retry": "false"}),
    "spend": (429, "insufficient_quota", "enforced_spend_limit_reached", {}),
    "quota": (429, "insufficient_quota", "insufficient_quota", {}),
    "overloaded": (529, None, None, {}),
    "busy": (503, None, "server_is_overloaded", {"retry-after": "1"}),
    "error": (500, None, None, {}),
    "key": (401, None, "invalid_api_key", {}),
    "credits": (402, None, "payment_required", {}),
    "model": (404, None, "model_not_found", {}),
    "too_long": (400, None, "context_length_exceeded", {}),
    "filter": (400, None, "content_filter", {}),
}


class Hang(Exception):
    """The connection is to be closed here."""


class State:
    def __init__(self, args):
        self.args = args
        self.rules = list(args.first_rules)
        self.counts = collections.Counter()
        self.by_conversation = collections.defaultdict(collections.Counter)
        self.histories = Histories(args.linear)
        self.cached = {}  # tokens of a conversation's prompt that are kept
        self.refused = []
        self.serial = 0
        self.inflight = 0
        self.inflight_max = 0
        self.holding = []
        self.journal = open(args.journal, "a", buffering=1, encoding="utf-8") if args.journal else None

    def note(self, **entry):
        if self.journal:
            self.journal.write(compact({"at": time.time(), **entry}) + "\n")

    async def hold(self):
        """Until the test says so."""
        held = asyncio.get_running_loop().create_future()
        self.holding.append(held)
        await held

    def rule_for(self, call):
        """The newest that fits; a rule with `times` is used up."""
        for rule in reversed(self.rules):
            if rule.get("api") not in (None, call.protocol.name) or rule.get("model") not in (None, call.model):
                continue
            if rule.get("conversation") not in (None, call.conversation):
                continue
            if rule.get("turn") not in (None, call.turn) or rule.get("contains", "") not in call.text:
                continue
            if "times" in rule:
                if rule["times"] <= 0:
                    continue
                rule["times"] -= 1
            return rule
        return {}

    def control(self, method, body):
        if method == "DELETE":
            self.rules.clear()
            return {"ok": True}
        if method == "POST":
            doc = json.loads(body)
            if "rule" in doc:
                self.rules.append(doc["rule"])
            if "rules" in doc:
                self.rules = list(doc["rules"])
            if "key" in doc:
                self.args.key = doc["key"]
            if doc.get("forget"):
                self.histories = Histories(self.args.linear)
            if doc.get("release"):
                for held in self.holding:
                    held.set_result(None)
                self.holding = []
            if "history" in doc:
                return {"requests": list(self.histories.answered.get(doc["history"], {}))}
            return {"ok": True}
        return {"holding": len(self.holding), "counts": self.counts, "conversations": self.by_conversation, "refused": self.refused[-50:],
                "rules": self.rules, "inflight": self.inflight, "inflight_max": self.inflight_max}


class Call:
    """One request to a model, read."""

    def __init__(self, state, protocol, headers, body):
        self.protocol = protocol
        self.headers = headers
        self.text = body.decode("utf-8")
        members = raw_members(self.text)
        self.request = {k: v[0] for k, v in members.items()}
        self.list_name = "input" if protocol.name == "responses" else "messages"
        self.items, self.raw = members.get(self.list_name, (None, ""))
        if isinstance(self.items, str):  # shorthand
            self.items, self.raw = [{"role": "user", "content": self.items}], "[%s]" % self.raw
        self.model = self.request.get("model")
        self.stream = self.request.get("stream") is True
        self.conversation = Histories.name(headers, body)
        self.turn = turns(protocol.name, self.items) if isinstance(self.items, list) else 0
        self.size = len(body)
        state.serial += 1
        self.id = "%s%d" % (re.sub(r"[^A-Za-z0-9_-]", "_", self.conversation or "c") + "_%d_" % self.turn, state.serial)

    def wrong(self):
        """What every one of these APIs refuses."""
        if not isinstance(self.model, str) or not self.model:
            return "model: Field required"
        if not isinstance(self.items, list) or not self.items:
            return self.list_name + ": at least one message is required"
        if self.protocol.name == "messages":
            if not isinstance(self.request.get("max_tokens"), int):
                return "max_tokens: Field required"
            if not self.headers.get("anthropic-version"):
                return "anthropic-version: header is required"
            mark = self.request.get("cache_control")
            if mark is not None and (not isinstance(mark, dict) or mark.get("type") != "ephemeral" or mark.get("ttl", "5m") not in ("5m", "1h")):
                return "cache_control: Input should be a valid ephemeral mark"
        if not isinstance(self.request.get("prompt_cache_key", ""), str):
            return "prompt_cache_key: expected a string"
        return unanswered(self.protocol.name, self.items)


class Connection:
    def __init__(self, state, reader, writer):
        self.state = state
        self.reader = reader
        self.writer = writer

    async def run(self):
        self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while await self.request():
                pass
        except Hang:
            self.reset()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass
        finally:
            self.writer.close()

    def reset(self):
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def request(self):
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
        if headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self.body(headers)
        path = target.partition("?")[0]
        if path == "/_control":
            await self.plain(200, compact(self.state.control(method, body)).encode(), {})
            return True
        if path.endswith("/moderations") and method == "POST":
            await self.moderation(headers, body)
            return headers.get("connection", "").lower() != "close"
        protocol = next((PROTOCOLS[name] for pattern, name in PATHS if pattern.search(path)), None)
        if protocol is None or method != "POST":
            await self.plain(404, compact(PROTOCOLS["chat"].error("invalid_request_error", "no such path: " + path)).encode(), {})
            return True
        self.state.inflight += 1
        self.state.inflight_max = max(self.state.inflight, self.state.inflight_max)
        try:
            await self.model(protocol, headers, target, body)
        finally:
            self.state.inflight -= 1
        return headers.get("connection", "").lower() != "close"

    async def body(self, headers):
        if headers.get("transfer-encoding", "").lower() == "chunked":
            out = b""
            while True:
                size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
                out += (await self.reader.readexactly(size + 2))[:-2]
                if size == 0 or len(out) > BODY_MAX:
                    return out
        length = int(headers.get("content-length") or 0)
        if length > BODY_MAX:
            raise Hang
        return await self.reader.readexactly(length)

    async def plain(self, status, body, headers, kind="application/json"):
        lines = ["HTTP/1.1 %d x" % status, "content-type: " + kind, "content-length: %d" % len(body)]
        lines += ["%s: %s" % kv for kv in headers.items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        await self.writer.drain()

    # ---- a moderation endpoint ----

    async def moderation(self, headers, body):
        """Says of a text what the newest rule that fits says; rules of api moderation only."""
        state = self.state
        state.counts["moderations"] += 1
        doc = json.loads(body)
        rules = [r for r in state.rules if r.get("api") == "moderation" and r.get("contains", "") in doc.get("input", "")]
        rule = rules[-1] if rules else {}
        state.note(event="moderated", input=doc.get("input"), model=doc.get("model"))
        if state.args.key and headers.get("authorization", "")[7:] != state.args.key:
            await self.plain(401, b'{"error": {"message": "invalid key"}}', {})
            return
        if rule.get("delay_ms"):
            await asyncio.sleep(rule["delay_ms"] / 1000)
        if 0 in rule.get("hold", ()):
            await state.hold()
        if rule.get("fault") == "close":
            raise Hang
        scores = {"hate": 0.0, "violence": 0.0, **rule.get("scores", {})}
        answer = {"id": "modr-1", "model": doc.get("model") or "double", "results": [
            {"flagged": rule.get("flagged", False), "categories": {k: False for k in scores}, "category_scores": scores}]}
        said = rule.get("body", compact(answer))
        await self.plain(rule.get("status", 200), (said if isinstance(said, str) else compact(said)).encode(), {})

    # ---- a call to a model ----

    async def model(self, protocol, headers, target, body):
        state = self.state
        state.counts["requests"] += 1
        try:
            call = Call(state, protocol, headers, body)
        except (ValueError, UnicodeDecodeError) as problem:
            await self.refuse(protocol, 400, "body is not JSON: %s" % problem, {}, None)
            return
        rule = state.rule_for(call)
        dialect = rule.get("dialect", "")
        key = state.args.key
        given = headers.get("x-api-key") or headers.get("api-key") or headers.get("authorization", "")[7:]
        if key and given != key:
            await self.refuse(protocol, 401, "invalid key: " + given, rule, call, "invalid_api_key")
            return
        if rule.get("delay_ms"):
            await asyncio.sleep(rule["delay_ms"] / 1000)
        if 0 in rule.get("hold", ()):
            await state.hold()
        if await self.misbehave(protocol, rule, call):
            return
        wrong = call.wrong()
        if wrong:
            await self.refuse(protocol, 400, wrong, rule, call)
            return
        repeat = False
        if call.conversation is not None:
            why, repeat = state.histories.check(call.conversation, protocol.name, call.raw, call.items)
            if why:
                state.counts["history_refused"] += 1
                state.refused.append({"conversation": call.conversation, "turn": call.turn, "why": why})
                await self.refuse(protocol, 400, "history differs: " + why, rule, call)
                return
        plans = rule.get("turns") or [rule.get("answer") or {"text": "Hello from the double."}]
        answer = Answer(plans[min(call.turn, len(plans) - 1)], call.id, call.size, call.model)
        if answer.usage["output"] == "max":
            answer.usage["output"] = next((call.request[k] for k in ("max_tokens", "max_completion_tokens", "max_output_tokens") if call.request.get(k)), 1)
        self.cache(call, answer)
        call.repeat = repeat
        state.counts["billed"] += rule.get("error_after") != 0
        await self.answer(protocol, rule, call, answer, dialect)

    def cache(self, call, answer):
        """A marked prompt is kept to its end; what was kept of it before is read."""
        mark = call.request.get("cache_control")
        if mark is None or call.conversation is None:
            return
        whole = answer.usage["input"]
        read = min(self.state.cached.get(call.conversation, 0), whole)
        self.state.cached[call.conversation] = whole
        self.state.counts["cache_read"] += read
        self.state.counts["cache_written"] += whole - read
        answer.usage.update({"input": 0, "cache_read": read, "cache_write": whole - read, "hour": mark.get("ttl") == "1h"})

    def answered(self, protocol, call, answer, dialect):
        """Everything up to the end mark has left: it was answered, whatever became of the other side."""
        state = self.state
        state.counts["answered"] += 1
        state.counts["repeated"] += call.repeat
        if call.conversation is not None:
            state.by_conversation[call.conversation]["answered"] += 1
            state.by_conversation[call.conversation]["repeated"] += call.repeat
            kept = answer.stop in ("end", "tool_use", "pause", "stop_sequence") and (answer.text or answer.tools)
            state.histories.note(call.conversation, protocol.name, call.raw, call.items,
                                 protocol.items(answer, dialect) if kept else [])
        state.note(event="answered", conversation=call.conversation, turn=call.turn, repeat=call.repeat, id=call.id, api=protocol.name)

    async def refuse(self, protocol, status, message, rule, call, code=None, kind=None, headers=None):
        self.state.counts["refused"] += 1
        self.state.note(event="refused", status=status, message=message, conversation=call and call.conversation)
        kind = kind or protocol.kinds.get(status, "api_error")
        doc = protocol.error(kind, message, code, status, rule.get("dialect"))
        await self.plain(status, compact(doc).encode(), {**self.common(protocol, call), **(headers or {})})

    async def misbehave(self, protocol, rule, call):
        """Answers that are none. True when one was given."""
        fault = rule.get("fault")
        if fault is None and "status" not in rule:
            return False
        self.state.counts["faults"] += 1
        if fault in ("close", "reset", "hang"):
            self.state.counts["billed"] += 1  # nobody can say that it was not
        if fault in ("close", "reset"):
            raise Hang
        if fault == "hang":
            await asyncio.sleep(rule.get("ms", 3600000) / 1000)
            raise Hang
        if fault == "html":
            await self.plain(rule.get("status", 502), b"<html><body><h1>502 Bad Gateway</h1></body></html>", {}, "text/html")
        elif fault == "error200":
            doc = protocol.error("api_error", "upstream failed", "provider_unavailable", 502, rule.get("dialect"))
            await self.plain(200, compact(doc).encode(), self.common(protocol, call))
        elif fault == "redirect":
            await self.plain(307, b"", {"location": rule["location"]})
        elif fault in FAULTS:
            status, kind, code, headers = FAULTS[fault]
            headers = dict(headers, **rule.get("headers", {}))
            if headers.get("retry-after") == "date":
                headers["retry-after"] = email.utils.formatdate(time.time() + 2, usegmt=True)
            if protocol.name == "messages" and kind == "insufficient_quota":
                kind = "rate_limit_error"
            if protocol.name == "messages" and fault not in ("spend",):
                code = None
            await self.refuse(protocol, status, "the double was told to fail: " + fault, rule, call, code, kind, headers)
        else:
            body = rule.get("body", "")
            body = body if isinstance(body, str) else compact(body)
            await self.plain(rule["status"], body.encode(), rule.get("headers", {}), rule.get("content_type", "application/json"))
        return True

    def common(self, protocol, call):
        name = "request-id" if protocol.name == "messages" else "x-request-id"
        out = {name: "req_" + (call.id if call else "none")}
        if protocol.name == "messages":
            for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
                out["anthropic-ratelimit-%s-limit" % kind] = "1000"
                out["anthropic-ratelimit-%s-remaining" % kind] = "999"
                out["anthropic-ratelimit-%s-reset" % kind] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
        else:
            for kind in ("requests", "tokens"):
                out["x-ratelimit-limit-" + kind] = "1000"
                out["x-ratelimit-remaining-" + kind] = "999"
                out["x-ratelimit-reset-" + kind] = "1s"
        return out

    async def answer(self, protocol, rule, call, answer, dialect):
        headers = {**self.common(protocol, call), **rule.get("headers", {})}
        if dialect == "openrouter":
            headers["x-generation-id"] = "gen-" + call.id
        if dialect == "litellm":
            headers.update({"x-litellm-call-id": call.id, "x-litellm-response-cost": "1.4e-05"})
        if not call.stream or rule.get("unstreamed"):
            await self.document(compact(protocol.document(answer, dialect)).encode(), rule, call, headers)
            self.answered(protocol, call, answer, dialect)
            return
        await self.stream(protocol, rule, call, answer, dialect, headers)

    async def document(self, body, rule, call, headers):
        if rule.get("gzip"):
            body = gzip.compress(body)
            headers = dict(headers, **{"content-encoding": "gzip"})
        if rule.get("cut_bytes") is not None:
            lines = ["HTTP/1.1 200 x", "content-type: application/json", "content-length: %d" % len(body)]
            self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body[:rule["cut_bytes"]])
            await self.writer.drain()
            self.state.counts["cut"] += 1
            await asyncio.sleep(0.05)
            raise Hang
        await self.plain(200, body, headers)

    async def stream(self, protocol, rule, call, answer, dialect, headers):
        lines = ["HTTP/1.1 200 x", "content-type: text/event-stream; charset=utf-8", "transfer-encoding: chunked"]
        if rule.get("gzip"):
            lines.append("content-encoding: gzip")
        lines += ["%s: %s" % kv for kv in headers.items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self.writer.drain()
        pieces = self.pieces(protocol, rule, call, answer, dialect)
        if rule.get("gap_ms") or rule.get("endless") or rule.get("hold"):
            for n, piece in enumerate(pieces, 1):
                await self.chunks(piece, rule)
                if n in rule.get("hold", ()):
                    await self.state.hold()
                await asyncio.sleep(rule.get("gap_ms", 0) / 1000)
        elif rule.get("gzip") or rule.get("split") or rule.get("split_at") is not None:
            data = b"".join(pieces)
            if rule.get("gzip"):
                data = gzip.compress(data)
            await self.chunks(data, rule)
        else:
            data = b""
            for piece in pieces:
                data += piece
                if len(data) >= 65536:
                    await self.chunks(data, rule)
                    data = b""
            await self.chunks(data, rule)
        if rule.get("cut_after") is not None or rule.get("cut_bytes") is not None or rule.get("error_after") is not None:
            self.state.counts["cut"] += 1
            if rule.get("close", "clean") == "clean":
                self.writer.write(b"0\r\n\r\n")
                await self.writer.drain()
                raise ConnectionError
            await asyncio.sleep(0.05)
            raise Hang
        self.answered(protocol, call, answer, dialect)
        if rule.get("hold_ms"):
            await asyncio.sleep(rule["hold_ms"] / 1000)
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def chunks(self, data, rule):
        """One HTTP chunk, or several: split into n bytes each, or in two at split_at."""
        if rule.get("split"):
            parts = [data[i:i + rule["split"]] for i in range(0, len(data), rule["split"])]
        elif rule.get("split_at") is not None:
            parts = [data[:rule["split_at"]], data[rule["split_at"]:]]
        else:
            parts = [data]
        for k, part in enumerate(parts):
            if not part:
                continue
            if k and rule.get("split_ms"):
                await asyncio.sleep(rule["split_ms"] / 1000)
            self.writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await self.writer.drain()

    def pieces(self, protocol, rule, call, answer, dialect):
        """The body, event by event."""
        eol = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}[rule.get("eol", "lf")]
        left = rule.get("cut_bytes")
        if rule.get("bom"):
            yield b"\xef\xbb\xbf"
        for n, (name, doc) in enumerate(self.script(protocol, rule, call, answer, dialect)):
            if rule.get("comments") and n % rule["comments"] == 0:
                yield (": OPENROUTER PROCESSING" + eol * 2).encode()
            text = doc if isinstance(doc, str) else compact(doc)
            data = (("event: %s%s" % (name, eol) if name else "") + "data: " + text + eol * 2).encode()
            if left is not None:
                data, left = data[:left], left - len(data)
            if data:
                yield data

    def script(self, protocol, rule, call, answer, dialect):
        events = itertools.chain(protocol.events(answer, call.request, dialect), [(None, protocol.done)] if protocol.done else [])
        stop = rule.get("cut_after", rule.get("error_after"))
        if stop is not None or rule.get("endless"):
            events = list(events)
        if stop is not None:
            events = events[:stop]
        yield from events[:-1] if rule.get("endless") else events
        if rule.get("error_after") is not None:
            doc = protocol.error(rule.get("error_kind", "overloaded_error" if protocol.name == "messages" else "server_error"),
                                 "the double broke off", rule.get("error_code"), 502, dialect)
            yield from protocol.error_event(doc, dialect)
        while rule.get("endless"):
            middle = [e for e in events if "delta" in compact(e[1])]
            yield middle[len(middle) // 2] if rule["endless"] != "ping" else ("ping", {"type": "ping"})


async def serve(args):
    state = State(args)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = await asyncio.start_server(lambda r, w: Connection(state, r, w).run(), args.host, args.port, limit=1 << 20, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default="", help="the only key that is taken")
    parser.add_argument("--linear", action="store_true", help="no conversation is ever continued in two ways")
    parser.add_argument("--journal", default="", help="file that gets a line per answer")
    parser.add_argument("--rules", default="", help="file with a JSON list of rules")
    args = parser.parse_args()
    args.first_rules = []
    if args.rules:
        with open(args.rules, encoding="utf-8") as f:
            args.first_rules = json.load(f)
    try:
        asyncio.run(serve(args))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
