"""What doubles of compute providers share: a journal, rules of misbehaviour, and how an answer is sent.

An operation of the double names itself (op) and gives an answer; a rule decides whether it is
carried out and how the answer travels. See README.md. Standard library only.
"""

import collections
import http.server
import json
import os
import signal
import socket
import socketserver
import struct
import threading
import time
import urllib.parse

BODY_MAX = 128 * 1024 * 1024


class Answer(Exception):
    """Raised where an operation ends early; every operation may also return one."""

    def __init__(self, status, document=None, raw=None, kind="application/json", headers=None):
        super().__init__(str(status))
        self.status = status
        self.document = document
        self.raw = raw
        self.kind = kind
        self.headers = headers or {}

    def body(self):
        if self.raw is not None:
            return self.raw
        if self.document is None:
            return b""
        return json.dumps(self.document, separators=(",", ":")).encode()


class State:
    """Rules, counters and the journal; a double adds what it holds."""

    def __init__(self, args):
        self.lock = threading.RLock()
        self.args = args
        self.rules = []
        self.counts = collections.Counter()
        self.lives = []
        self.serial = 0
        self.fd = os.open(os.path.join(args.dir, "journal.jsonl"), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def write(self, entry):
        with self.lock:
            os.write(self.fd, (json.dumps(entry, ensure_ascii=True) + "\n").encode())

    def rule_for(self, op, text):
        with self.lock:
            for rule in self.rules:
                if rule.get("op", op) != op or rule.get("contains", "") not in text or rule.get("times", 1) <= 0:
                    continue
                if rule.get("skip", 0) > 0:
                    rule["skip"] -= 1
                    continue
                if "times" in rule:
                    rule["times"] -= 1
                return dict(rule)
        return {}

    def take(self, wish):
        """One POST to /_control."""
        if "rule" in wish:
            self.rules.insert(0, wish["rule"])

    def born(self, name, tag):
        with self.lock:
            self.lives.append({"id": name, "tag": tag, "from": time.time(), "to": None})

    def ended(self, name):
        with self.lock:
            for life in self.lives:
                if life["id"] == name and life["to"] is None:
                    life["to"] = time.time()

    def document(self):
        return {"counts": dict(self.counts), "rules": self.rules, "lives": self.lives}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300
    state = None

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.serve()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    # A double says what a request is, and carries it out.

    def operation(self, path):
        """(op, what carry_out needs)"""
        raise NotImplementedError

    def carry_out(self, op, found, body, rule):
        raise NotImplementedError

    def serve(self):
        state = self.state
        self.url = urllib.parse.urlsplit(self.path)
        self.query = {k: v[-1] for k, v in urllib.parse.parse_qs(self.url.query, keep_blank_values=True).items()}
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            body = self.read_chunked()
        else:
            body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), BODY_MAX))
        if self.url.path == "/_control":
            self.control(body)
            return
        op, found = self.operation(urllib.parse.unquote(self.url.path))
        text = body.decode("utf-8", "replace")
        rule = state.rule_for(op, self.path + "\n" + text)
        with state.lock:
            state.serial += 1
            number = state.serial
            state.counts[op] += 1
        state.write({"event": "request", "n": number, "t": time.time(), "method": self.command, "path": self.path, "op": op,
                     "authorization": self.headers.get("Authorization"),
                     "headers": {k: v for k, v in self.headers.items() if k.lower() != "authorization"}, "body": text[:262144]})
        try:
            self.answer(op, found, body, rule, number)
        except (BrokenPipeError, ConnectionResetError) as e:
            state.write({"event": "answer", "n": number, "op": op, "lost": str(e)})
            self.close_connection = True

    def answer(self, op, found, body, rule, number):
        if "before_ms" in rule:
            time.sleep(rule["before_ms"] / 1000)
        if rule.get("execute", "status" not in rule):
            try:
                answer = self.carry_out(op, found, body, rule)
            except Answer as e:
                answer = e
            except (ValueError, KeyError, TypeError) as e:
                answer = Answer(400, {"statusCode": 400, "error": "Bad Request", "message": "bad request: %r" % e})
        else:
            answer = Answer(200, {})
        raw, kind, status = answer.body(), answer.kind, rule.get("status", answer.status)
        if rule.get("extra") and isinstance(answer.document, dict):
            raw = json.dumps({**answer.document, "unheardOf": {"a": [1, None]}, "another": "x" * 5000}).encode()
        if "body" in rule:
            raw = rule["body"].encode("latin-1") if isinstance(rule["body"], str) else json.dumps(rule["body"]).encode()
            kind = rule.get("type", "application/json")
        if rule.get("html"):
            raw, kind = b"<!doctype html><html><body>please log in</body></html>", "text/html; charset=utf-8"
        if rule.get("empty"):
            raw = b""
        headers = {"Content-Type": rule.get("type", kind), **answer.headers, **rule.get("headers", {})}
        self.state.write({"event": "answer", "n": number, "t": time.time(), "op": op, "status": status})
        if "delay_ms" in rule:
            time.sleep(rule["delay_ms"] / 1000)
        head = "HTTP/1.1 %d %s\r\n" % (status, "Answer")
        head += "".join("%s: %s\r\n" % (k, v) for k, v in headers.items()) + "Content-Length: %d\r\n\r\n" % len(raw)
        if status == 204:
            head, raw = head.replace("Content-Length: %d\r\n" % len(raw), ""), b""
        if self.command == "HEAD":
            raw = b""
        self.send(head.encode("latin-1"), raw, rule)

    def send(self, head, raw, rule):
        cut = rule.get("cut")
        if cut == "before":
            self.reset()
        elif cut == "head":
            self.put(head)
            self.reset()
        elif cut == "half":
            self.put(head + raw[:len(raw) // 2])
            self.reset()
        elif "split_at" in rule:
            whole = head + raw
            at = rule["split_at"] % (len(whole) + 1)
            self.put(whole[:at])
            time.sleep(rule.get("split_ms", 5) / 1000)
            self.put(whole[at:])
        elif "slow_ms" in rule:
            for i in range(0, len(head + raw)):
                self.put((head + raw)[i:i + 1])
                time.sleep(rule["slow_ms"] / 1000)
        else:
            self.put(head + raw)

    def put(self, data):
        self.wfile.write(data)
        self.wfile.flush()

    def reset(self):
        """A reset, so that nobody can take it for a proper end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def read_chunked(self):
        out = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            out += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return out

    def control(self, body):
        with self.state.lock:
            if self.command == "POST":
                self.state.take(json.loads(body or b"{}"))
            elif self.command == "DELETE":
                self.state.rules.clear()
            raw = json.dumps(self.state.document()).encode()
        self.put(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(raw) + raw)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass


def signal_all(home, number):
    """To whatever was started in that directory, or in one below it, and still runs."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open("/proc/%s/environ" % entry, "rb") as f:
                at = [v[len(b"DOUBLE_HOME="):].decode() for v in f.read().split(b"\0") if v.startswith(b"DOUBLE_HOME=")]
            if at and (at[0] + "/").startswith(home + "/"):
                os.kill(int(entry), number)
        except OSError:
            pass


def run(handler, state):
    def leave(number, frame):
        signal_all(state.args.dir, signal.SIGKILL)
        os._exit(0)

    # what sandboxes still run ends with the double
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    handler.state = state
    server = Server(("127.0.0.1", getattr(state.args, "port", 0) or 0), handler)
    state.port = server.server_address[1]
    print(state.port, flush=True)
    server.serve_forever()
