#!/usr/bin/env python3
"""A double of the webhook compute contract: an endpoint as a customer would run it.

It keeps a journal on disk, one JSON line per request received and per answer sent, each
synced before the next byte leaves, and never de-duplicates: what was asked twice is there
twice. It can run commands for real, and misbehave on request (see README.md).

Standard library only. Prints its port on the first line of stdout.
"""

import argparse
import base64
import collections
import hashlib
import hmac
import http.server
import json
import os
import re
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

SKEW_MS = 5 * 60 * 1000
BODY_MAX = 128 * 1024 * 1024
CODE = re.compile(r"printf %s '([A-Za-z0-9+/=]*)'")
OPS = {
    ("POST", "create"): "create", ("POST", "exec"): "exec", ("POST", "pause"): "pause",
    ("POST", "resume"): "resume", ("GET", "metrics"): "metrics", ("GET", "files"): "list",
}


class Journal:
    """Append-only, one writer at a time, on disk before anybody hears of it."""

    def __init__(self, path, sync):
        self.lock = threading.Lock()
        self.sync = sync
        self.serial = 0
        self.fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def write(self, entry):
        with self.lock:
            line = json.dumps(entry, ensure_ascii=True) + "\n"
            os.write(self.fd, line.encode())
            if self.sync:
                os.fsync(self.fd)

    def number(self):
        with self.lock:
            self.serial += 1
            return self.serial


class State:
    """What the double holds: sandboxes, secrets, rules of misbehaviour, counters."""

    def __init__(self, args):
        self.lock = threading.RLock()
        self.args = args
        self.dir = args.dir
        self.journal = Journal(os.path.join(args.dir, "journal.jsonl"), not args.no_fsync)
        self.sandboxes = {}
        self.lives = []
        self.rules = []
        self.counts = collections.Counter()
        self.credential = args.credential
        self.signing = args.signing
        self.serial = 0
        self.inflight = 0
        self.inflight_max = 0

    def rule_for(self, op, sandbox, text):
        """First rule that fits, counted down."""
        with self.lock:
            for rule in self.rules:
                if rule.get("op", op) != op or rule.get("sandbox", sandbox) != sandbox:
                    continue
                if "contains" in rule and rule["contains"] not in text:
                    continue
                if "times" in rule:
                    if rule["times"] <= 0:
                        continue
                    rule["times"] -= 1
                rule["used"] = rule.get("used", 0) + 1
                return dict(rule)
        return None

    def create(self, body, tag=None):
        with self.lock:
            self.serial += 1
            name = "sb-%06d-%s" % (self.serial, os.urandom(4).hex())
            home = tempfile.mkdtemp(prefix="sandbox-", dir=self.dir)
            self.sandboxes[name] = {"home": home, "env": body.get("envVars") or {}, "paused": False,
                                    "runtime": body.get("runtime"), "timeout": body.get("timeout"), "tag": tag}
            self.lives.append({"id": name, "tag": tag, "from": time.time(), "to": None})
            return name

    def destroy(self, name):
        with self.lock:
            name = self.known(name)
            box = self.sandboxes.pop(name, None)
            for life in self.lives:
                if life["id"].split("-r")[0] == str(name).split("-r")[0] and life["to"] is None:
                    life["to"] = time.time()
        if box is None:
            return False
        shutil.rmtree(box["home"], ignore_errors=True)
        return True

    def known(self, name):
        """Its own name, where it is called by the one its caller gave it."""
        return next((n for n, b in self.sandboxes.items() if b["tag"] == name and name), name)

    def document(self):
        with self.lock:
            return {"sandboxes": sorted(self.sandboxes), "rules": self.rules, "counts": dict(self.counts), "lives": self.lives,
                    "inflight": self.inflight, "inflight_max": self.inflight_max}


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def digest(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def verdicts(state, headers, body):
    """What a careful receiver would find out about a request; None: nothing to compare with."""
    found = {"bearer": None, "signature": None, "reserialised": None, "standard": None, "skew": None}
    secret = state.signing or state.credential
    now_ms = time.time() * 1000
    if state.credential:
        found["bearer"] = headers.get("Authorization") == "Bearer " + state.credential
    stamp = headers.get("X-Theazo-Timestamp") or ""
    found["skew"] = stamp.isdigit() and abs(now_ms - int(stamp)) <= SKEW_MS
    if not secret:
        return found
    given = headers.get("X-Theazo-Signature") or ""
    found["signature"] = hmac.compare_digest(given, "sha256=" + digest(secret.encode(), body).hex())
    if body:
        # the documentation's own receiver parses and serialises again
        try:
            again = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
            found["reserialised"] = hmac.compare_digest(given, "sha256=" + digest(secret.encode(), again).hex())
        except ValueError:
            found["reserialised"] = False
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = "%s.%s." % (headers.get("webhook-id"), headers.get("webhook-timestamp"))
    want = "v1," + base64.b64encode(digest(key, signed.encode() + body)).decode()
    seconds = headers.get("webhook-timestamp") or ""
    found["standard"] = (want in (headers.get("webhook-signature") or "").split(" ")
                         and seconds.isdigit() and abs(now_ms / 1000 - int(seconds)) <= SKEW_MS / 1000)
    return found


def inner_path(box, segments):
    """A path inside the sandbox's directory, nowhere else."""
    path = os.path.realpath(os.path.join(box["home"], *segments))
    if path != box["home"] and not path.startswith(box["home"] + os.sep):
        raise Refused(400, "path leaves the sandbox")
    return path


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "theazo-double"
    state = None
    disable_nagle_algorithm = True
    timeout = 300

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.serve()

    do_POST = do_PUT = do_DELETE = do_GET

    # --- one request ---------------------------------------------------------

    def serve(self):
        state = self.state
        url = urllib.parse.urlsplit(self.path)
        segments = [urllib.parse.unquote(s) for s in url.path.split("/") if s != ""]
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length <= BODY_MAX else b""
        if segments[:1] == ["_control"]:
            self.control(body)
            return
        if segments and segments[0] == state.args.prefix:
            segments = segments[1:]
        op, sandbox = self.operation(segments)
        text = body.decode("utf-8", "replace")
        code = CODE.search(text)
        if code:
            text += "\n" + base64.b64decode(code.group(1)).decode("utf-8", "replace")
        number = state.journal.number()
        found = verdicts(state, self.headers, body)
        with state.lock:
            state.counts[op] += 1
            state.inflight += 1
            state.inflight_max = max(state.inflight_max, state.inflight)
        state.journal.write({
            "event": "request", "n": number, "t": time.time(), "method": self.command, "path": self.path,
            "op": op, "sandbox": sandbox, "effect": self.headers.get("webhook-id"),
            "authorization": self.headers.get("Authorization"), "verdicts": found,
            "headers": {k: v for k, v in self.headers.items() if k.lower() != "authorization"},
            "body": text[:65536], "body_bytes": len(body)})
        try:
            self.carry_out(op, sandbox, segments, url, body, text, found, number)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as e:
            state.journal.write({"event": "answer", "n": number, "t": time.time(), "op": op, "sandbox": sandbox,
                                 "lost": str(e)})
            self.close_connection = True
        finally:
            with state.lock:
                state.inflight -= 1

    def operation(self, segments):
        if segments == ["create"] and self.command == "POST":
            return "create", None
        if len(segments) == 1 and self.command == "DELETE":
            return "destroy", segments[0]
        if len(segments) == 2:
            return OPS.get((self.command, segments[1]), "unknown"), segments[0]
        if len(segments) > 2 and segments[1] == "files":
            return {"GET": "read", "PUT": "write"}.get(self.command, "unknown"), segments[0]
        if len(segments) == 3 and segments[1] == "ports" and self.command == "POST":
            return "expose_port", segments[0]
        return "unknown", segments[0] if segments else None

    def carry_out(self, op, sandbox, segments, url, body, text, found, number):
        rule = self.state.rule_for(op, sandbox, text) or {}
        mode = rule.get("mode", "normal")
        status, document = 200, None
        if not self.state.args.lenient and any(
                found[k] is False for k in ("bearer", "signature", "reserialised", "standard", "skew")):
            status, document, mode = 401, {"error": "not authorized"}, "normal"
        elif rule.get("execute", mode not in ("status", "unsupported")):
            if mode == "delay":
                time.sleep(rule.get("ms", 1000) / 1000)
            try:
                document = self.perform(op, sandbox, segments, url, body, rule)
            except Refused as e:
                status, document = e.status, {"error": str(e)}
            except (ValueError, KeyError, TypeError) as e:
                status, document = 400, {"error": "bad request: %s" % e}
        self.misbehave(mode, rule, status, document, number, op, sandbox)

    # --- what the contract asks for --------------------------------------------

    def perform(self, op, sandbox, segments, url, body, rule):
        state = self.state
        if op == "create":
            return {"sandboxId": state.create(json.loads(body), self.headers.get("X-Theazo-Sandbox")), "metadata": {"double": True}}
        with state.lock:
            box = state.sandboxes.get(state.known(sandbox))
        if op == "unknown":
            raise Refused(404, "no such path")
        if box is None:
            raise Refused(404, "no such sandbox")
        if op == "destroy":
            if not state.destroy(sandbox):
                raise Refused(404, "no such sandbox")
            return {"ok": True}
        if op == "exec":
            return self.execute(box, json.loads(body)["command"], rule)
        if op == "read":
            path = inner_path(box, segments[2:])
            if not os.path.isfile(path):
                raise Refused(404, "no such file")
            with open(path, "rb") as f:
                return {"content": base64.b64encode(f.read()).decode()}
        if op == "write":
            path = inner_path(box, segments[2:])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(base64.b64decode(json.loads(body)["content"], validate=True))
            return {"ok": True}
        if op == "list":
            return self.entries(box, url)
        if op == "expose_port":
            return {"url": "https://%s-%s.example.com" % (segments[2], sandbox)}
        if op == "pause":
            box["paused"] = True
            return {"snapshotId": "snap-" + sandbox}
        if op == "resume":
            box["paused"] = False
            return {"sandboxId": self.renamed(sandbox) if rule.get("new_id") else sandbox}
        return {"cpuPercent": 1.5, "memoryMb": 64, "diskMb": 12}

    def renamed(self, sandbox):
        with self.state.lock:
            self.state.sandboxes[sandbox + "-r"] = self.state.sandboxes.pop(sandbox)
        return sandbox + "-r"

    def entries(self, box, url):
        wanted = urllib.parse.parse_qs(url.query).get("dir", ["/"])[0]
        path = inner_path(box, [s for s in wanted.split("/") if s])
        if not os.path.isdir(path):
            raise Refused(404, "no such directory")
        out = []
        for entry in sorted(os.scandir(path), key=lambda e: e.name):
            out.append({"name": entry.name, "isDir": entry.is_dir(),
                        "size": 0 if entry.is_dir() else entry.stat(follow_symlinks=False).st_size})
        return {"entries": out}

    def execute(self, box, command, rule):
        if box["paused"]:
            raise Refused(409, "sandbox is paused")
        if self.state.args.exec != "real" or "stdout" in rule or "exit_code" in rule:
            return {"stdout": rule.get("stdout", "done\n"), "stderr": rule.get("stderr", ""),
                    "exitCode": rule.get("exit_code", 0)}
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": box["home"], "LANG": "C.UTF-8"}
        env.update(box["env"])
        done = subprocess.run(["sh", "-c", command], cwd=box["home"], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=self.state.args.exec_limit, check=False)
        return {"stdout": done.stdout.decode("utf-8", "replace"), "stderr": done.stderr.decode("utf-8", "replace"),
                "exitCode": done.returncode if done.returncode >= 0 else 128 - done.returncode}

    # --- answers, good and bad -------------------------------------------------

    def misbehave(self, mode, rule, status, document, number, op, sandbox):
        body = json.dumps(document, separators=(",", ":")).encode() if document is not None else b""
        headers = {"Content-Type": "application/json"}
        if mode in ("status", "unsupported"):
            status = 501 if mode == "unsupported" else rule.get("status", 500)
            body = json.dumps(rule.get("body", {"error": "told to answer %d" % status})).encode()
            if "retry_after" in rule:
                headers["Retry-After"] = str(rule["retry_after"])
        elif mode == "answer":
            body = json.dumps(rule["body"]).encode()
            status = rule.get("status", 200)
        elif mode == "raw":
            body = rule["body"].encode("latin-1")
        elif mode == "garbage":
            body = b"\x00\xff{]]not json" * 20
        elif mode == "empty":
            body = b""
        elif mode == "error200":
            body = b'{"error":{"message":"quota exceeded","code":7}}'
        elif mode == "html":
            body = b"<html><body>please log in</body></html>"
            headers["Content-Type"] = "text/html"
        elif mode == "content_type":
            headers["Content-Type"] = rule.get("content_type", "text/plain")
        elif mode == "redirect":
            status, body = 307, b""
            headers["Location"] = rule.get("location", "http://169.254.169.254/")
        elif mode == "echo":
            # what a careless error page does: shows the request's headers
            status = rule.get("status", 500)
            body = json.dumps({"error": "headers were: %s" % dict(self.headers.items())}).encode()
        out = document if isinstance(document, dict) else {}
        self.state.journal.write({
            "event": "answer", "n": number, "t": time.time(), "op": op, "mode": mode, "status": status,
            "sandbox": out.get("sandboxId", sandbox), "exit_code": out.get("exitCode")})
        time.sleep(rule.get("after_ms", 0) / 1000)
        if mode == "close":
            self.cut()
        elif mode == "big":
            self.send_big(rule.get("bytes", 100 * 1024 * 1024))
        elif mode == "half":
            self.send_head(200, headers, max(len(body), 2))
            self.wfile.write(body[:len(body) // 2])
            self.cut()
        elif mode == "close_after_headers":
            self.send_head(200, headers, len(body) or 10)
            self.wfile.flush()
            self.cut()
        elif mode == "slow":
            self.send_head(status, headers, len(body))
            for i in range(len(body)):
                self.wfile.write(body[i:i + 1])
                self.wfile.flush()
                time.sleep(rule.get("ms", 10) / 1000)
        else:
            self.send_head(status, headers, len(body))
            self.wfile.write(body)

    def send_head(self, status, headers, length):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def send_big(self, length):
        self.send_head(200, {"Content-Type": "application/json"}, length)
        chunk = b" " * 65536
        while length > 0:
            self.wfile.write(chunk[:length])
            length -= len(chunk)

    def cut(self):
        """Resets the connection, so that the peer cannot take it for a proper end."""
        self.close_connection = True
        try:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RD)
        except OSError:
            pass

    # --- control -----------------------------------------------------------------

    def control(self, body):
        state = self.state
        if self.command == "POST":
            wish = json.loads(body or b"{}")
            with state.lock:
                if "rule" in wish:
                    state.rules.insert(0, wish["rule"])
                if "credential" in wish:
                    state.credential = wish["credential"]
                if "signing" in wish:
                    state.signing = wish["signing"]
                if "forget" in wish:
                    state.destroy(wish["forget"])
        elif self.command == "DELETE":
            with state.lock:
                state.rules = []
        out = json.dumps(state.document()).encode()
        self.send_head(200, {"Content-Type": "application/json"}, len(out))
        self.wfile.write(out)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 2048
    block_on_close = False
    context = None

    def finish_request(self, request, client_address):
        # in the connection's own thread, so that a slow handshake holds up nobody
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


def make_tls(directory):
    """An authority of our own and a certificate for 127.0.0.1 and localhost."""

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=directory, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    with open(os.path.join(directory, "san.cnf"), "w", encoding="ascii") as f:
        f.write("subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=theazo double authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
            "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "san.cnf", "-out", "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(directory, "server.pem"), os.path.join(directory, "server.key"))
    return context


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", required=True, help="journal, certificates and sandboxes go there")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--prefix", default="compute", help="first path segment that may stand before everything")
    parser.add_argument("--tls", action="store_true", help="https, authority in DIR/ca.pem")
    parser.add_argument("--exec", choices=("real", "scripted"), default="scripted")
    parser.add_argument("--exec-limit", type=float, default=120)
    parser.add_argument("--credential", help="bearer token to expect")
    parser.add_argument("--signing", help="signing secret to expect, if it is not the credential")
    parser.add_argument("--lenient", action="store_true", help="journal bad signatures, but answer all the same")
    parser.add_argument("--no-fsync", action="store_true", help="for measurements only")
    args = parser.parse_args()

    os.makedirs(args.dir, exist_ok=True)
    args.dir = os.path.realpath(args.dir)
    threading.stack_size(256 * 1024)
    Handler.state = State(args)
    server = Server((args.host, args.port), Handler)
    if args.tls:
        server.context = make_tls(args.dir)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever(poll_interval=1)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    sys.exit(main())
