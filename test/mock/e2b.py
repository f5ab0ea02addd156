#!/usr/bin/env python3
"""A double of E2B: its control plane, and the gateway to its sandboxes with the daemon in each.

Commands are run for real, each sandbox in a directory of its own; it keeps a journal like webhook.py
and misbehaves on request (see README.md). Standard library only. Prints two ports on the first line
of stdout: of the control plane, and of the gateway.
"""

import argparse
import base64
import collections
import hashlib
import http.server
import json
import os
import queue
import random
import re
import shutil
import signal
import socket
import socketserver
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import double  # noqa: E402

BODY_MAX = 128 * 1024 * 1024
CHUNK = 32 * 1024
ENVD_PORT = 49983
CODE_PORT = 49999
HOME = os.sep + os.path.join("home", "user")  # as the sandbox shows it
CONNECT_STATUS = {
    "canceled": 499, "unknown": 500, "invalid_argument": 400, "deadline_exceeded": 504, "not_found": 404,
    "already_exists": 409, "permission_denied": 403, "resource_exhausted": 429, "failed_precondition": 400,
    "aborted": 409, "out_of_range": 400, "unimplemented": 501, "internal": 500, "unavailable": 503,
    "data_loss": 500, "unauthenticated": 401,
}


class Refused(Exception):
    """An answer that is no success: a status and a document."""

    def __init__(self, status, document, headers=None):
        super().__init__(str(document))
        self.status = status
        self.document = document
        self.headers = headers or {}


def api_error(status, message, code=None, headers=None):
    document = {"code": status, "message": message}
    if code:
        document["error_code"] = code
    return Refused(status, document, headers)


class ConnectError(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code

    def document(self):
        return {"code": self.code, "message": str(self)}


class Process:
    """One command: its output as events, to whoever listens at the moment."""

    def __init__(self, box, popen, config, tag):
        self.box = box
        self.popen = popen
        self.config = config
        self.tag = tag
        self.listeners = []
        self.lock = threading.Lock()
        self.end = None
        self.ended_at = None
        self.readers = []

    def tell(self, event):
        with self.lock:
            if "end" in event:
                self.end = event
                self.ended_at = time.monotonic()
            for q in self.listeners:
                q.put(event)

    def listen(self):
        q = queue.Queue()
        with self.lock:
            self.listeners.append(q)
            if self.end is not None:
                q.put(self.end)
        return q

    def hang_up(self, q):
        with self.lock:
            self.listeners.remove(q)

    def pump(self, stream, name):
        while True:
            data = os.read(stream.fileno(), CHUNK)
            if not data:
                return
            self.tell({"data": {name: base64.b64encode(data).decode()}})

    def watch(self):
        code = self.popen.wait()
        # what a child in the background still holds open is not waited for
        for reader in self.readers:
            reader.join(0.3)
        if code < 0:
            words = {9: "killed", 15: "terminated", 11: "segmentation fault", 6: "aborted"}.get(-code, "signal %d" % -code)
            end = {"exitCode": -1, "status": "signal: " + words, "error": "signal: " + words}
        elif code == 0:
            end = {"exited": True, "status": "exit status 0"}
        else:
            end = {"exitCode": code, "exited": True, "status": "exit status %d" % code, "error": "exit status %d" % code}
        self.tell({"end": end})


class Box:
    def __init__(self, state, body, now):
        self.id = "i" + os.urandom(10).hex()[:19]
        self.home = os.path.realpath(tempfile.mkdtemp(prefix="sandbox-", dir=state.dir))
        self.template = body["templateID"]
        self.metadata = body.get("metadata") or {}
        self.env = body.get("envVars") or {}
        self.secure = bool(body.get("secure"))
        self.token = "envd-" + os.urandom(16).hex() if self.secure else None
        self.body = body
        self.started = now
        self.deadline = now + body.get("timeout", 15)
        self.state = "running"
        self.auto_pause = bool(body.get("autoPause"))
        self.public = (body.get("network") or {}).get("allowPublicTraffic", True)
        self.traffic = None if self.public else "traffic-" + os.urandom(8).hex()
        self.processes = {}
        self.logs = []
        self.version = state.args.envd_version
        self.log("sandbox created")

    def log(self, message):
        now = time.time()
        self.logs.append({"timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%06dZ" % (now * 10**6 % 10**6),
                          "level": "info", "message": message, "fields": {"logger": "process"}, "ms": int(now * 1000)})

    def signal(self, number):
        """To all that runs in it, also what has left the group it was started in."""
        double.signal_all(self.home, number)

    def document(self):
        return {"templateID": self.template, "sandboxID": self.id, "clientID": "6532622b", "envdVersion": self.version,
                "envdAccessToken": self.token, "trafficAccessToken": self.traffic, "domain": None, "alias": None}

    def detail(self):
        iso = lambda t: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t))
        return dict(self.document(), state=self.state, metadata=self.metadata, startedAt=iso(self.started),
                    endAt=iso(self.deadline), cpuCount=2, memoryMB=512, diskSizeMB=1024,
                    allowInternetAccess=self.body.get("allow_internet_access", True))


class State:
    def __init__(self, args):
        self.lock = threading.RLock()
        self.args = args
        self.dir = args.dir
        self.key = args.key
        self.boxes = {}
        self.snapshots = {}
        self.rules = []
        self.counts = collections.Counter()
        self.made = 0
        self.lives = []
        self.max_sandboxes = args.max_sandboxes
        self.fd = os.open(os.path.join(args.dir, "journal.jsonl"), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def journal(self, entry):
        with self.lock:
            os.write(self.fd, (json.dumps(entry) + "\n").encode())
            if not self.args.no_fsync:
                os.fsync(self.fd)

    def rule_for(self, op, box, text):
        with self.lock:
            for rule in self.rules:
                if rule.get("op", op) != op or rule.get("sandbox", box) != box:
                    continue
                if "contains" in rule and rule["contains"] not in text:
                    continue
                if "times" in rule:
                    if rule["times"] <= 0:
                        continue
                    rule["times"] -= 1
                return dict(rule)
        return {}

    def expire(self, box):
        """Its clock: over, it is paused or killed."""
        if box.state == "running" and time.time() > box.deadline:
            if box.auto_pause:
                self.pause(box)
            else:
                self.kill(box)

    def find(self, name):
        with self.lock:
            parts = name.split("-")
            if len(parts) > 2 or not re.fullmatch("[a-z0-9]+", parts[0]):
                raise api_error(400, "Invalid sandbox ID")
            box = self.boxes.get(parts[0])
            if box is not None:
                self.expire(box)
                box = self.boxes.get(parts[0])
            if box is None:
                raise api_error(404, "Sandbox \"%s\" not found" % parts[0])
            return box

    def create(self, body):
        if not isinstance(body.get("templateID"), str):
            raise api_error(400, "Error parsing body: templateID is required")
        timeout = body.get("timeout", 15)
        if not isinstance(timeout, int) or timeout <= 0:
            raise api_error(400, "Timeout must be greater than 0")
        if timeout > self.args.max_timeout:
            raise api_error(400, "Timeout cannot be greater than %d hours" % (self.args.max_timeout // 3600))
        if (body.get("network") or {}).get("allowPublicTraffic") is False and not body.get("secure"):
            raise api_error(400, "allowPublicTraffic false needs a secure sandbox")
        name = body["templateID"]
        with self.lock:
            for box in list(self.boxes.values()):
                self.expire(box)
            if name not in self.args.templates and name not in self.snapshots:
                raise api_error(404, "Template '%s' not found" % name)
            if self.max_sandboxes is not None and sum(b.state == "running" for b in self.boxes.values()) >= self.max_sandboxes:
                raise api_error(429, "you have reached the maximum number of concurrent E2B sandboxes (%d)" % self.max_sandboxes)
            box = Box(self, body, time.time())
            if name in self.snapshots:
                shutil.copytree(self.snapshots[name], box.home, dirs_exist_ok=True, symlinks=True)
            self.boxes[box.id] = box
            self.made += 1
            self.lives.append({"id": box.id, "tag": box.metadata.get("theazo.id"), "from": time.time(), "to": None})
            return box

    def pause(self, box):
        box.signal(signal.SIGSTOP)
        box.state = "paused"
        box.log("sandbox paused")

    def resume(self, box, timeout):
        box.signal(signal.SIGCONT)
        box.state = "running"
        box.deadline = time.time() + timeout
        if box.secure:
            box.token = "envd-" + os.urandom(16).hex()
        box.log("sandbox resumed")

    def kill(self, box):
        box.signal(signal.SIGKILL)
        self.boxes.pop(box.id, None)
        for life in self.lives:
            if life["id"] == box.id and life["to"] is None:
                life["to"] = time.time()
        shutil.rmtree(box.home, ignore_errors=True)

    def document(self):
        with self.lock:
            for box in list(self.boxes.values()):
                self.expire(box)
            return {"sandboxes": [{"id": b.id, "state": b.state, "metadata": b.metadata, "body": b.body,
                                   "deadline": b.deadline, "token": b.token,
                                   "processes": sum(p.end is None for p in b.processes.values())}
                                  for b in self.boxes.values()],
                    "snapshots": sorted(self.snapshots), "rules": self.rules, "counts": dict(self.counts), "made": self.made,
                    "lives": self.lives}


def dumps(document, wild=True):
    """JSON in one of the spellings an encoder may choose."""
    if not wild:
        return json.dumps(document).encode()
    kind = random.randrange(3)
    if kind == 0:
        return json.dumps(document, separators=(",", ":")).encode()
    if kind == 1:
        return json.dumps(document, separators=(", ", ":  "), ensure_ascii=False).encode()
    return json.dumps(document, indent=1).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "theazo-double"
    disable_nagle_algorithm = True
    timeout = 600
    state = None
    plane = None

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.number = None
        self.rule = {}
        try:
            self.serve()
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def read_body(self):
        if (self.headers.get("Transfer-Encoding") or "").lower() == "chunked":
            parts = []
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                parts.append(self.rfile.read(n))
                self.rfile.readline()
                if n == 0:
                    return b"".join(parts)
        n = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(n) if 0 < n <= BODY_MAX else b""

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        self.url = url
        self.query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query, keep_blank_values=True).items()}
        self.body = self.read_body()
        if url.path == "/_control":
            self.control()
            return
        text = self.body.decode("utf-8", "replace")
        try:
            op, box = self.route()
        except Refused as e:
            op, box, refused = "unknown", None, e
        else:
            refused = None
        with self.state.lock:
            self.state.counts[op] += 1
        self.state.journal({
            "event": "request", "t": time.time(), "plane": self.plane, "op": op, "sandbox": box, "method": self.command,
            "path": self.path, "key": self.headers.get("X-API-Key"), "token": self.headers.get("X-Access-Token"),
            "headers": {k: v for k, v in self.headers.items() if k.lower() not in ("x-api-key", "x-access-token")},
            "body": text[:65536]})
        self.rule = self.state.rule_for(op, box, text)
        mode = self.rule.get("mode", "normal")
        if self.rule.get("ms") and mode in ("normal", "delay"):
            time.sleep(self.rule["ms"] / 1000)
        try:
            if refused is not None:
                raise refused
            if not self.rule.get("execute", mode not in ("status", "rate", "html502", "empty")):
                self.answer(200, {})
                return
            if mode == "close" and not self.rule.get("execute", True):
                self.cut()
                return
            self.carry_out(op)
        except Refused as e:
            if isinstance(e.document, str):
                self.answer(e.status, e.document.encode(), {"Content-Type": "text/plain"})
            else:
                self.answer(e.status, e.document, e.headers)
        except ConnectError as e:
            self.answer(CONNECT_STATUS[e.code], e.document())

    # --- answers, good and bad ---------------------------------------------------

    def answer(self, status, document=None, headers=None):
        rule, mode = self.rule, self.rule.get("mode", "normal")
        headers = dict(headers or {})
        if mode == "status":
            status, document = rule.get("status", 500), rule.get("body")
            headers = dict(rule.get("headers") or {})
        elif mode == "rate":
            status, document = 429, {"code": 429, "message": "Rate limit exceeded"}
            headers = {"Retry-After": str(rule.get("retry_after", 1)), "RateLimit-Limit": "5", "RateLimit-Remaining": "0",
                       "RateLimit-Reset": str(rule.get("retry_after", 1))}
        elif mode == "html502":
            status, document, headers = 502, b"<html><body>Bad Gateway</body></html>", {"Content-Type": "text/html"}
        elif mode == "empty":
            status, document = rule.get("status", status), b""
        elif mode == "garbage":
            document = b"\x00\xff{]]"
        elif mode == "extra" and isinstance(document, dict):
            document = dict(document, surprise={"deep": [1, {"x": None}]}, anotherField="z")
        elif mode == "echo":
            status = rule.get("status", 500)
            document = {"code": status, "message": "headers were: %s" % dict(self.headers.items())}
        if isinstance(document, bytes):
            body = document
        elif document is None:
            body = b""
        else:
            body = dumps(document)
            headers.setdefault("Content-Type", "application/json")
        self.state.journal({"event": "answer", "t": time.time(), "plane": self.plane, "status": status, "path": self.path})
        time.sleep(rule.get("after_ms", 0) / 1000)
        if mode == "close":
            self.cut()
            return
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k, v)
        if status != 204:
            self.send_header("Content-Length", str(len(body) + (1 if mode == "half" else 0)))
        self.end_headers()
        self.wfile.flush()
        if mode == "close_after_headers":
            self.cut()
            return
        if status == 204:
            return
        if "cut_at" in rule:
            self.wfile.write(body[:rule["cut_at"]])
            self.cut()
        elif "split_at" in rule:
            self.split([body[:rule["split_at"]], body[rule["split_at"]:]])
        elif rule.get("slow"):
            self.split([body[i:i + 1] for i in range(len(body))])
        else:
            self.wfile.write(body)
            if mode == "half":
                self.cut()

    def split(self, parts):
        for part in parts:
            self.wfile.write(part)
            self.wfile.flush()
            time.sleep(self.rule.get("gap_ms", 2) / 1000)

    def cut(self):
        self.close_connection = True
        try:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        except OSError:
            pass

    def document(self):
        try:
            doc = json.loads(self.body or b"{}")
        except ValueError:
            doc = None
        if not isinstance(doc, dict):
            raise api_error(400, "Error parsing body")
        return doc

    # --- control of the double ------------------------------------------------------

    def control(self):
        state = self.state
        if self.command == "DELETE":
            with state.lock:
                state.rules.clear()
        elif self.command == "POST":
            wish = json.loads(self.body or b"{}")
            with state.lock:
                if "rule" in wish:
                    state.rules.insert(0, wish["rule"])
                if "key" in wish:
                    state.key = wish["key"]
                if "max_sandboxes" in wish:
                    state.max_sandboxes = wish["max_sandboxes"]
                if "envd_version" in wish:
                    state.args.envd_version = wish["envd_version"]
                if "expire" in wish:
                    state.boxes[wish["expire"]].deadline = 0
                if "kill" in wish:
                    state.kill(state.boxes[wish["kill"]])
                if "token" in wish:
                    state.boxes[wish["token"]].token = "envd-" + os.urandom(16).hex()
        self.rule = {}
        body = json.dumps(state.document()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Api(Handler):
    """The control plane."""

    plane = "api"

    ROUTES = [
        ("POST", r"/(?:v2/)?sandboxes", "create"), ("GET", r"/v2/sandboxes", "find"),
        ("GET", r"/sandboxes/([^/]+)", "ask"), ("DELETE", r"/sandboxes/([^/]+)", "destroy"),
        ("POST", r"/(?:v2/)?sandboxes/([^/]+)/connect", "connect"), ("POST", r"/sandboxes/([^/]+)/resume", "resume"),
        ("POST", r"/sandboxes/([^/]+)/pause", "pause"), ("POST", r"/sandboxes/([^/]+)/timeout", "timeout"),
        ("POST", r"/sandboxes/([^/]+)/refreshes", "refresh"), ("POST", r"/sandboxes/([^/]+)/snapshots", "snapshot"),
        ("POST", r"/sandboxes/([^/]+)/fork", "fork"), ("PUT", r"/sandboxes/([^/]+)/network", "network"),
        ("GET", r"/sandboxes/([^/]+)/metrics", "series"), ("GET", r"/v2/sandboxes/([^/]+)/logs", "logs"),
        ("DELETE", r"/templates/([^/]+)", "snapshot_delete"),
    ]

    def route(self):
        for method, pattern, op in self.ROUTES:
            m = re.fullmatch(pattern, self.url.path)
            if m and method == self.command:
                self.name = urllib.parse.unquote(m.group(1)) if m.groups() else None
                return op, self.name
        raise api_error(404, "no such route")

    def carry_out(self, op):
        if self.headers.get("X-API-Key") != self.state.key:
            raise api_error(401, "Invalid API key" if self.headers.get("X-API-Key") else "API key is missing")
        with self.state.lock:
            getattr(self, "api_" + op)()

    def api_create(self):
        body = self.document()
        if self.url.path.startswith("/v2/"):
            body.setdefault("secure", True)
        box = self.state.create(body)
        if self.rule.get("mode") == "twice":
            self.state.create(body)
            self.rule["mode"] = "close"
        self.answer(201, box.document())

    def api_find(self):
        wanted = dict(urllib.parse.parse_qsl(self.query.get("metadata", "")))
        states = [s for s in self.query.get("state", "running").split(",") if s]
        for box in list(self.state.boxes.values()):
            self.state.expire(box)
        found = [b.detail() for b in self.state.boxes.values()
                 if b.state in states and all(b.metadata.get(k) == v for k, v in wanted.items())]
        for d in found:
            for key in ("envdAccessToken", "trafficAccessToken", "domain"):
                d.pop(key)
        limit = min(int(self.query.get("limit", 100)), 100)
        start = int(self.query.get("nextToken") or 0)
        headers = {"X-Total-Running": str(sum(d["state"] == "running" for d in found))}
        if start + limit < len(found):
            headers["X-Next-Token"] = str(start + limit)
        self.answer(200, found[start:start + limit], headers)

    def api_ask(self):
        self.answer(200, self.state.find(self.name).detail())

    def api_destroy(self):
        self.state.kill(self.state.find(self.name))
        self.answer(204)

    def wake(self, again):
        box = self.state.find(self.name)
        timeout = self.document().get("timeout", 15)
        if not isinstance(timeout, int) or timeout <= 0 or timeout > self.state.args.max_timeout:
            raise api_error(400, "Timeout is not valid")
        status = 200
        if box.state == "paused":
            self.state.resume(box, timeout)
            status = 201
        elif not again:
            raise api_error(409, "Sandbox is already running")
        else:
            box.deadline = max(box.deadline, time.time() + timeout)
        self.answer(status, box.document())

    def api_connect(self):
        self.wake(True)

    def api_resume(self):
        self.wake(False)

    def api_pause(self):
        box = self.state.find(self.name)
        if box.state == "paused":
            raise api_error(409, "Sandbox is already paused")
        if self.body and self.document().get("memory") is False:
            box.signal(signal.SIGKILL)
        self.state.pause(box)
        self.answer(204)

    def api_timeout(self):
        self.set_deadline(self.document().get("timeout"), False)

    def api_refresh(self):
        self.set_deadline(self.document().get("duration"), True)

    def set_deadline(self, seconds, extend):
        box = self.state.find(self.name)
        if not isinstance(seconds, int) or seconds < 0:
            raise api_error(400, "Timeout is not valid")
        if time.time() > box.started + self.state.args.max_timeout:
            raise api_error(400, "Sandbox cannot be extended any more")
        deadline = min(time.time() + seconds, box.started + self.state.args.max_timeout)
        box.deadline = max(deadline, box.deadline) if extend else deadline
        self.answer(204)

    def api_snapshot(self):
        box = self.state.find(self.name)
        if box.state != "running":
            raise api_error(409, "Sandbox is paused")
        name = "tmpl%s:default" % os.urandom(4).hex()
        self.state.snapshots[name] = os.path.join(self.state.dir, "snapshot-" + name)
        shutil.copytree(box.home, self.state.snapshots[name], symlinks=True)
        self.answer(201, {"snapshotID": name, "names": []})

    def api_snapshot_delete(self):
        path = self.state.snapshots.pop(self.name, None)
        if path is None:
            raise api_error(404, "Template not found")
        shutil.rmtree(path, ignore_errors=True)
        self.answer(204)

    def api_fork(self):
        box = self.state.find(self.name)
        body = self.document()
        out = []
        for _ in range(body.get("count", 1)):
            twin = self.state.create(dict(box.body, timeout=body.get("timeout", 15)))
            shutil.copytree(box.home, twin.home, dirs_exist_ok=True, symlinks=True)
            out.append({"sandbox": twin.document()})
        self.answer(201, out)

    def api_network(self):
        box = self.state.find(self.name)
        box.body["network"] = self.document()
        self.answer(204)

    def api_series(self):
        box = self.state.find(self.name)
        start, end = int(self.query.get("start", 0)), int(self.query.get("end", 2**40))
        if start > end:
            raise api_error(400, "start is after end")
        if time.time() < box.started + self.state.args.young:
            self.answer(200, [])
            return
        now = int(time.time())
        self.answer(200, [{"timestamp": "2026-01-02T03:04:05Z", "timestampUnix": now, "cpuCount": 2, "cpuUsedPct": 12.5,
                           "memUsed": 104857600, "memTotal": 536870912, "memCache": 1, "diskUsed": 209715200,
                           "diskTotal": 1073741824}])

    def api_logs(self):
        box = self.state.find(self.name)
        lines = list(box.logs)
        if "cursor" in self.query:
            at = int(self.query["cursor"])
            forward = self.query.get("direction") == "forward"
            lines = [x for x in lines if (x["ms"] >= at if forward else x["ms"] <= at)]
        if self.query.get("direction", "backward") == "backward":
            lines.reverse()
        self.answer(200, {"logs": [{k: v for k, v in x.items() if k != "ms"}
                                   for x in lines[:min(int(self.query.get("limit", 1000)), 1000)]]})


class Gateway(Handler):
    """The proxy before the sandboxes, and the daemon in each."""

    plane = "sandbox"

    def route(self):
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0].lower()
        label = host.split(".")[0].split("-")
        if host in ("localhost", "127.0.0.1", "[::1]") or host.startswith("sandbox."):
            name, port = self.headers.get("E2b-Sandbox-Id"), self.headers.get("E2b-Sandbox-Port")
            if not name or not port:
                raise Refused(400, "missing header E2b-Sandbox-%s" % ("Id" if not name else "Port"))
        elif len(label) >= 2 and label[0].isdigit():
            port, name = label[0], label[1]
        else:
            raise Refused(400, "invalid host")
        if not port.isdigit() or not re.fullmatch("[a-z0-9]+", name):
            raise Refused(400, "invalid sandbox id or port")
        self.name, self.port = name, int(port)
        path = self.url.path
        if self.port == CODE_PORT:
            return "execute", name
        op = {"/health": "health", "/metrics": "metrics", "/envs": "envs", "/files": "read" if self.command == "GET" else "write",
              "/files/compose": "compose"}.get(path)
        if op is None and path.startswith("/process.Process/"):
            # a command without a login shell is none of an agent's: it ends another one
            start = "end" if b'"args":["-c"' in self.body else "exec"
            op = {"Start": start, "Connect": "attach"}.get(path.split("/")[2], "process." + path.split("/")[2])
        if op is None and path.startswith("/filesystem.Filesystem/"):
            op = {"ListDir": "list"}.get(path.split("/")[2], "filesystem." + path.split("/")[2])
        return op or "unknown", name

    def carry_out(self, op):
        with self.state.lock:
            box = self.state.boxes.get(self.name)
            if box is not None:
                self.state.expire(box)
                box = self.state.boxes.get(self.name)
            if box is None or box.state == "paused":
                raise Refused(502, {"sandboxId": self.name, "message": "The sandbox was not found", "code": 502})
        self.box = box
        if self.port != ENVD_PORT and not box.public and self.headers.get("e2b-traffic-access-token") != box.traffic:
            raise Refused(403, {"sandboxId": self.name, "message": "Traffic access token is missing or wrong", "code": 403})
        if self.port not in (ENVD_PORT, CODE_PORT):
            raise Refused(502, {"sandboxId": self.name, "port": self.port, "message": "The sandbox is running but port is not open", "code": 502})
        if self.url.path in ("/init", "/freeze"):
            raise Refused(404, {"message": "not found", "path": self.url.path, "code": 404})
        if op == "execute":
            self.execute()
            return
        if op != "health" and not self.trusted(op):
            raise Refused(401, {"code": 401, "message": "unauthorized access, please provide a valid access token or method signing if supported"})
        if op.startswith("process."):
            self.process(op.split(".")[1])
        elif op.startswith("filesystem."):
            self.filesystem(op.split(".")[1])
        else:
            getattr(self, "do_" + op, self.do_unknown)()

    def do_end(self):
        self.do_exec()

    def do_unknown(self):
        raise Refused(404, {"message": "not found", "code": 404})

    def trusted(self, op):
        box = self.box
        if box.token is None or self.headers.get("X-Access-Token") == box.token:
            return True
        given = self.query.get("signature")
        if op not in ("read", "write") or not given:
            return False
        parts = [self.query.get("path", ""), op, self.query.get("username", ""), box.token]
        if "signature_expiration" in self.query:
            parts.append(self.query["signature_expiration"])
            if int(self.query["signature_expiration"]) < time.time():
                return False
        digest = base64.b64encode(hashlib.sha256(":".join(parts).encode()).digest()).decode().rstrip("=")
        return given == "v1_" + digest

    # --- plain HTTP ------------------------------------------------------------------

    def do_health(self):
        self.answer(204)

    def do_envs(self):
        self.answer(200, self.box.env)

    def older(self, *version):
        return tuple(int(x) for x in self.box.version.split(".")) < version

    def do_metrics(self):
        if self.older(0, 1, 5):
            raise Refused(404, {"message": "not found", "code": 404})
        used = sum(p.end is None for p in self.box.processes.values())
        disk = sum(os.lstat(os.path.join(d, f)).st_size for d, _, files in os.walk(self.box.home) for f in files)
        self.answer(200, {"ts": int(time.time()), "cpu_count": 2, "cpu_used_pct": 1.5 + 40 * used, "mem_total": 536870912,
                          "mem_used": 104857600 + 1048576 * used, "mem_cache": 1, "mem_total_mib": 512, "mem_used_mib": 100,
                          "disk_used": disk, "disk_total": 1073741824})

    def inner(self, path):
        """A path as the daemon resolves it, in the directory that stands for the user's home."""
        if path.startswith("~") and path != "~" and not path.startswith("~/"):
            raise Refused(400, {"message": "cannot expand user-specific home dir in path", "code": 400})
        path = path[1:] if path.startswith("~") else path
        for prefix in (HOME, self.box.home):
            if path == prefix or path.startswith(prefix + "/"):
                path = path[len(prefix):]
        real = os.path.normpath(os.path.join(self.box.home, path.lstrip("/")))
        if real != self.box.home and not real.startswith(self.box.home + "/"):
            raise Refused(400, {"message": "path leaves the double", "code": 400})
        return real

    def user_check(self):
        user = self.query.get("username")
        basic = self.headers.get("Authorization") or ""
        if basic.startswith("Basic "):
            user = base64.b64decode(basic[6:]).decode().split(":")[0]
        if user not in (None, "", "user", "root"):
            return False
        return True

    def do_read(self):
        if not self.user_check():
            raise Refused(401, {"message": "error looking up user", "code": 401})
        path = self.inner(self.query.get("path", ""))
        if os.path.isdir(path):
            raise Refused(400, {"message": "path '%s' is a directory" % path, "code": 400})
        if not os.path.exists(path):
            raise Refused(404, {"message": "path '%s' does not exist" % path, "code": 404})
        with open(path, "rb") as f:
            data = f.read()
        headers = {"Content-Type": "text/plain; charset=utf-8" if path.endswith(".txt") else "application/octet-stream",
                   "Content-Disposition": "inline; filename=%s" % os.path.basename(path).encode("ascii", "replace").decode()}
        if "gzip" in (self.headers.get("Accept-Encoding") or ""):
            import gzip
            data = gzip.compress(data)
            headers["Content-Encoding"] = "gzip"
        self.answer(200, data, headers)

    def do_write(self):
        if not self.user_check():
            raise Refused(401, {"message": "error looking up user", "code": 401})
        kind = self.headers.get("Content-Type") or ""
        files = []
        if kind.startswith("multipart/form-data"):
            boundary = re.search(r'boundary="?([^";]+)"?', kind).group(1).encode()
            for part in self.body.split(b"--" + boundary)[1:-1]:
                head, data = part[2:].split(b"\r\n\r\n", 1)
                name = re.search(rb'[; ]name="([^"]*)"', head)
                filename = re.search(rb'filename="([^"]*)"', head)
                if name and name.group(1) == b"file":
                    path = self.query.get("path") or (filename.group(1).decode() if filename else "")
                    files.append((path, data[:-2]))
        elif kind == "application/octet-stream" and not self.older(0, 5, 7) and self.query.get("path"):
            data = self.body
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip
                data = gzip.decompress(data)
            files.append((self.query["path"], data))
        else:
            raise Refused(400, {"message": "error parsing multipart form: request Content-Type isn't multipart/form-data", "code": 400})
        if sum(len(d) for _, d in files) > self.state.args.disk:
            raise Refused(507, {"message": "not enough disk space available", "code": 507})
        out = []
        for name, data in files:
            path = self.inner(name)
            if os.path.isdir(path):
                raise Refused(400, {"message": "path is a directory: %s" % path, "code": 400})
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as f:
                    f.write(data)
            except OSError as e:
                raise Refused(500, {"message": "error opening file: %s" % e.strerror, "code": 500}) from e
            out.append({"path": HOME + path[len(self.box.home):], "name": os.path.basename(path), "type": "file"})
        self.answer(200, out)

    def do_compose(self):
        doc = self.document()
        data = b""
        for p in doc["source_paths"]:
            with open(self.inner(p), "rb") as f:
                data += f.read()
            os.unlink(self.inner(p))
        with open(self.inner(doc["destination"]), "wb") as f:
            f.write(data)
        self.answer(200, {"path": doc["destination"], "name": os.path.basename(doc["destination"]), "type": "file"})

    # --- unary calls -------------------------------------------------------------------

    def message(self):
        if (self.headers.get("Content-Type") or "") != "application/json":
            raise Refused(415, "")
        if not self.body:
            raise ConnectError("invalid_argument", "zero-length payload is not a valid JSON object")
        if not self.user_check():
            raise ConnectError("unauthenticated", "invalid username")
        try:
            return json.loads(self.body)
        except ValueError as e:
            raise ConnectError("invalid_argument", "unmarshal message: %s" % e) from e

    def entry(self, path):
        s = os.lstat(path)
        mode = stat.S_IMODE(s.st_mode)
        kind = "SYMLINK" if stat.S_ISLNK(s.st_mode) else "DIRECTORY" if stat.S_ISDIR(s.st_mode) else "FILE"
        e = {"name": os.path.basename(path), "type": "FILE_TYPE_" + kind, "path": HOME + path[len(self.box.home):],
             "mode": mode, "permissions": stat.filemode(s.st_mode), "owner": "user", "group": "user",
             "modifiedTime": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(s.st_mtime)) + ".%09dZ" % (s.st_mtime_ns % 10**9)}
        if s.st_size:
            e["size"] = str(s.st_size)
        if kind == "SYMLINK":
            e["symlinkTarget"] = os.readlink(path)
        return e

    def do_list(self):
        doc = self.message()
        try:
            path = self.inner(doc.get("path", ""))
        except Refused as e:
            raise ConnectError("invalid_argument", e.document["message"]) from e
        if not os.path.exists(path):
            raise ConnectError("not_found", "directory not found: %s" % path)
        if not os.path.isdir(path):
            raise ConnectError("invalid_argument", "path is not a directory: %s" % path)
        out = []
        depth = doc.get("depth") or 1
        for d, dirs, files in os.walk(path):
            level = os.path.relpath(d, path).count(os.sep) + (d != path)
            if level + 1 >= depth:
                names, dirs[:] = sorted(dirs + files), []
            else:
                names = sorted(dirs + files)
            out += [self.entry(os.path.join(d, n)) for n in names]
        self.answer(200, {"entries": out} if out else {})

    def filesystem(self, method):
        doc = self.message()
        try:
            path = self.inner(doc.get("path") or doc.get("source") or "")
            if method == "Stat":
                if not os.path.lexists(path):
                    raise ConnectError("not_found", "file not found")
                self.answer(200, {"entry": self.entry(path)})
            elif method == "MakeDir":
                if os.path.exists(path):
                    raise ConnectError("already_exists", "directory already exists: %s" % path)
                os.makedirs(path)
                self.answer(200, {"entry": self.entry(path)})
            elif method == "Move":
                if not os.path.lexists(path):
                    raise ConnectError("not_found", "source file not found")
                to = self.inner(doc["destination"])
                os.rename(path, to)
                self.answer(200, {"entry": self.entry(to)})
            elif method == "Remove":
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                elif os.path.lexists(path):
                    os.unlink(path)
                self.answer(200, {})
            else:
                raise ConnectError("unimplemented", "no such method")
        except Refused as e:
            raise ConnectError("invalid_argument", e.document["message"]) from e

    def selected(self, doc):
        pid = (doc.get("process") or {}).get("pid")
        p = self.box.processes.get(pid)
        if p is None or (p.end is not None and time.monotonic() > p.ended_at + 30):
            raise ConnectError("not_found", "process with pid %s not found" % pid)
        return p

    def process(self, method):
        doc = self.message()
        if method == "List":
            live = [{"config": p.config, "pid": pid, **({"tag": p.tag} if p.tag else {})}
                    for pid, p in self.box.processes.items() if p.end is None]
            self.answer(200, {"processes": live} if live else {})
            return
        p = self.selected(doc)
        if p.end is not None:
            raise ConnectError("not_found", "process with pid %s not found" % p.popen.pid)
        if method == "SendSignal":
            number = {"SIGNAL_SIGKILL": signal.SIGKILL, "SIGNAL_SIGTERM": signal.SIGTERM}.get(doc.get("signal"))
            if number is None:
                raise ConnectError("unimplemented", "signal is not supported")
            p.popen.send_signal(number)
        elif method == "SendInput":
            data = (doc.get("input") or {}).get("stdin")
            if p.popen.stdin is None or data is None:
                raise ConnectError("failed_precondition", "stdin is not enabled")
            p.popen.stdin.write(base64.b64decode(data))
            p.popen.stdin.flush()
        elif method == "CloseStdin":
            if self.older(0, 5, 2):
                raise ConnectError("unimplemented", "no such method")
            p.popen.stdin.close()
        elif method != "Update":
            raise ConnectError("unimplemented", "no such method")
        self.answer(200, {})

    # --- streams -------------------------------------------------------------------------

    def first_message(self):
        """The one envelope of a request; None when the type is not the protocol's."""
        if (self.headers.get("Content-Type") or "") != "application/connect+json":
            self.answer(415)
            return None
        flag, n = struct.unpack(">BI", self.body[:5])
        if flag != 0 or n != len(self.body) - 5:
            raise ConnectError("invalid_argument", "protocol error: promised %d bytes" % n)
        return json.loads(self.body[5:])

    def frames(self):
        """From here on all is said in the stream."""
        self.send_response(200)
        self.send_header("Content-Type", self.rule.get("content_type", "application/connect+json"))
        self.send_header("Connect-Accept-Encoding", "gzip")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.sent = 0
        if self.rule.get("mode") == "close_after_headers":
            self.cut()
            raise BrokenPipeError

    def write_chunked(self, data):
        rule = self.rule
        if "cut_at" in rule and self.sent + len(data) > rule["cut_at"]:
            data = data[:max(0, rule["cut_at"] - self.sent)]
            if data:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.cut()
            raise BrokenPipeError
        pieces = [data]
        if rule.get("slow"):
            pieces = [data[i:i + 1] for i in range(len(data))]
        elif "split_at" in rule and self.sent < rule["split_at"] < self.sent + len(data):
            at = rule["split_at"] - self.sent
            pieces = [data[:at], data[at:]]
        self.sent += len(data)
        for i, piece in enumerate(pieces):
            if i:
                time.sleep(rule.get("gap_ms", 1) / 1000)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()

    def frame(self, flag, document):
        body = document if isinstance(document, bytes) else dumps(document)
        self.write_chunked(struct.pack(">BI", flag, len(body)) + body)

    def end_stream(self, error=None):
        if self.rule.get("mode") != "no_eos":
            self.frame(2, {"error": error.document()} if error else random.choice([{}, {"metadata": {"k": ["v"]}}]))
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def deadline(self):
        given = self.headers.get("Connect-Timeout-Ms")
        if given is None:
            return None
        if not re.fullmatch(r"\d{1,10}", given):
            raise ConnectError("invalid_argument", "bad timeout")
        return time.monotonic() + int(given) / 1000

    def do_exec(self):
        doc = self.first_message()
        if doc is None:
            return
        end = self.deadline()
        self.frames()
        try:
            if not self.user_check():
                raise ConnectError("unauthenticated", "invalid username")
            if self.rule.get("mode") == "eos":
                raise ConnectError(self.rule.get("code", "unavailable"), self.rule.get("message", "told to"))
            p = self.start(doc, end)
        except ConnectError as e:
            self.end_stream(e)
            return
        self.follow(p, p.first, end)

    def do_attach(self):
        doc = self.first_message()
        if doc is None:
            return
        end = self.deadline()
        self.frames()
        try:
            p = self.selected(doc)
        except ConnectError as e:
            self.end_stream(e)
            return
        self.follow(p, p.listen(), end)

    def start(self, doc, end):
        config = doc.get("process") or {}
        box = self.box
        cwd = config.get("cwd")
        try:
            cwd = self.inner(cwd) if cwd else box.home
        except Refused as e:
            raise ConnectError("invalid_argument", e.document["message"]) from e
        if not os.path.isdir(cwd):
            raise ConnectError("invalid_argument", "cwd '%s' does not exist" % cwd)
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": box.home, "LANG": "C.UTF-8", "USER": "user",
               "DOUBLE_HOME": box.home}
        env.update(box.env)
        env.update(config.get("envs") or {})
        argv = [config.get("cmd") or ""] + list(config.get("args") or [])
        # without a profile of the machine the double runs on
        if argv[0] == "/bin/bash" and argv[1:3] == ["-l", "-c"]:
            argv[1:3] = ["-c"]
        # the daemon starts programs through a shell, which is what says that one is missing
        argv = ["/bin/sh", "-c", 'exec "$@"', "sh"] + argv
        popen = subprocess.Popen(argv, cwd=cwd, env=env, start_new_session=True,
                                 stdin=subprocess.PIPE if doc.get("stdin", True) else subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p = Process(box, popen, config, doc.get("tag"))
        box.processes[popen.pid] = p
        box.log("process %d started" % popen.pid)
        p.first = p.listen()
        for stream, name in ((popen.stdout, "stdout"), (popen.stderr, "stderr")):
            t = threading.Thread(target=p.pump, args=(stream, name), daemon=True)
            p.readers.append(t)
            t.start()
        threading.Thread(target=p.watch, daemon=True).start()
        if end is not None:
            # the direct child alone
            t = threading.Timer(max(0, end - time.monotonic()), lambda: p.end is None and popen.kill())
            t.daemon = True
            t.start()
        return p

    def follow(self, p, q, end):
        interval = int(self.headers.get("Keepalive-Ping-Interval") or 90)
        mode = self.rule.get("mode")
        n = 0
        try:
            self.frame(0, {"event": {"start": {"pid": p.popen.pid}}})
            while True:
                wait = interval if end is None else min(interval, end - time.monotonic())
                try:
                    event = q.get(timeout=max(0.001, wait))
                except queue.Empty:
                    if end is not None and time.monotonic() >= end:
                        self.end_stream(ConnectError("deadline_exceeded", "context deadline exceeded"))
                        return
                    event = {"keepalive": {}}
                if end is not None and time.monotonic() >= end:
                    self.end_stream(ConnectError("deadline_exceeded", "context deadline exceeded"))
                    return
                if self.state.boxes.get(self.box.id) is not self.box:
                    self.cut()
                    return
                n += 1
                if mode == "unknown_event":
                    self.frame(0, {"event": {"novel": {"a": [1]}}, "extra": True})
                if mode == "keepalive":
                    self.frame(0, {"event": {"keepalive": {}}})
                if mode == "bad_base64" and "data" in event:
                    event = {"data": {"stdout": "***"}}
                if mode == "flag":
                    self.frame(self.rule.get("flag", 1), {"event": event})
                    continue
                if mode == "huge":
                    self.write_chunked(struct.pack(">BI", 0, 0x7fffffff) + b"x" * 1000)
                    return
                if mode == "not_json":
                    self.frame(0, b"\x00nonsense")
                    continue
                if mode == "eos_after" and n > self.rule.get("events", 0):
                    self.end_stream(ConnectError(self.rule.get("code", "unavailable"), "told to"))
                    return
                if mode == "no_end" and "end" in event:
                    self.end_stream()
                    return
                self.frame(0, {"event": event})
                if "end" in event:
                    self.end_stream()
                    return
        finally:
            p.hang_up(q)

    # --- the code interpreter's server ------------------------------------------------------

    def execute(self):
        if self.url.path != "/execute" or self.box.template != "code-interpreter-v1":
            raise Refused(502, {"sandboxId": self.name, "port": self.port, "message": "The sandbox is running but port is not open", "code": 502})
        if self.box.token is not None and self.headers.get("X-Access-Token") != self.box.token:
            raise Refused(401, "unauthorized")
        doc = self.document()
        if doc.get("language") and doc.get("context_id"):
            raise Refused(400, "Only one of context_id or language can be provided")
        if doc.get("context_id") and doc["context_id"] != "default":
            raise Refused(404, "Context %s not found" % doc["context_id"])
        env = dict(os.environ, **self.box.env)
        env.update(doc.get("env_vars") or {})
        done = subprocess.run([sys.executable, "-c", doc.get("code") or ""], cwd=self.box.home, env=env,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        lines = [{"type": "number_of_executions", "execution_count": 1}]
        if self.rule.get("mode") == "keepalive":
            lines.insert(0, {"type": "keepalive"})
        if done.stdout:
            lines.append({"type": "stdout", "text": done.stdout.decode("utf-8", "replace"), "timestamp": str(int(time.time() * 1e6))})
        if done.returncode:
            last = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
            name, _, value = last.partition(": ")
            lines.append({"type": "error", "name": name, "value": value, "traceback": done.stderr.decode("utf-8", "replace")})
        elif done.stderr:
            lines.append({"type": "stderr", "text": done.stderr.decode("utf-8", "replace"), "timestamp": str(int(time.time() * 1e6))})
        if self.rule.get("mode") != "no_eos":
            lines.append({"type": "end_of_execution"})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.sent = 0
        for line in lines:
            self.write_chunked(json.dumps(line).encode() + b"\n")
        self.wfile.write(b"0\r\n\r\n")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 512
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--dir", required=True)
    p.add_argument("--key", default="e2b_0123456789abcdef0123456789abcdef01234567")
    p.add_argument("--templates", default="base,code-interpreter-v1", type=lambda s: s.split(","))
    p.add_argument("--max-timeout", type=int, default=3600)
    p.add_argument("--max-sandboxes", type=int)
    p.add_argument("--envd-version", default="0.6.13")
    p.add_argument("--disk", type=int, default=64 * 1024 * 1024)
    p.add_argument("--young", type=float, default=60, help="seconds without stored metrics")
    p.add_argument("--no-fsync", action="store_true")
    args = p.parse_args()
    args.dir = os.path.realpath(args.dir)
    state = State(args)
    servers = []
    for kind in (Api, Gateway):
        servers.append(Server(("127.0.0.1", 0), type("Bound", (kind,), {"state": state})))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
    sys.stdout.write("%d %d\n" % tuple(s.server_address[1] for s in servers))
    sys.stdout.flush()

    def leave(*_):
        double.signal_all(args.dir, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
