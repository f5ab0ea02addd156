#!/usr/bin/env python3
"""A web server that keeps every byte it is sent: one plain port, two with TLS.

Every request is one JSON line in DIR/recorded.jsonl, synced before the answer: the port's
name, the time, and the raw request. The path says what is answered (see README.md). Prints
its three ports on the first line of stdout: plain, tls, other. Standard library only.
"""

import argparse
import collections
import json
import os
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

NAMES = ("localhost", "api.localhost", "evil.localhost", "a.wild.localhost", "b.a.wild.localhost")


class Recorder:
    def __init__(self, directory):
        self.lock = threading.Lock()
        self.directory = directory
        self.counts = collections.Counter()
        self.fd = os.open(os.path.join(directory, "recorded.jsonl"), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def write(self, port, raw):
        with self.lock:
            line = json.dumps({"port": port, "at": time.time(), "raw": raw.decode("latin-1")}) + "\n"
            os.write(self.fd, line.encode())
            os.fsync(self.fd)

    def count(self, what):
        with self.lock:
            self.counts[what] += 1
            return self.counts[what]


class Handler(socketserver.BaseRequestHandler):
    def setup(self):
        self.request.settimeout(60)

    def read(self):
        """Head and body of one request, as they came; empty at the end of the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.request.recv(65536)
            if not more:
                return data
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            more = self.request.recv(65536)
            if not more:
                break
            body += more
        return head + b"\r\n\r\n" + body

    def answer(self, status, body, headers=(), method="GET"):
        lines = ["HTTP/1.1 %d X" % status, "Content-Length: %d" % len(body), *headers]
        data = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.request.sendall(data if method == "HEAD" else data + body)

    def handle(self):
        try:
            while True:
                raw = self.read()
                if not raw:
                    return
                self.server.recorder.write(self.server.name, raw)
                if not self.serve(raw):
                    return
        except (OSError, ssl.SSLError, ValueError):
            pass

    def serve(self, raw):
        """False when the connection is to be closed."""
        method, target = raw.split(b" ", 2)[:2]
        method = method.decode("latin-1")
        url = urllib.parse.urlsplit(target.decode("latin-1"))
        ask = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/echo":
            self.answer(200, raw, ["Content-Type: text/plain", "X-Echo: " + ask.get("x", "")], method)
        elif url.path == "/echo-head":
            # one header of the request as one of the answer
            found = [h for h in raw.decode("latin-1").split("\r\n") if h.lower().startswith("authorization:")]
            self.answer(200, b"", ["X-You-Sent: " + (found[0] if found else "")], method)
        elif url.path == "/redirect":
            self.answer(int(ask.get("status", "302")), b"", ["Location: " + ask["to"]], method)
        elif url.path == "/status":
            self.answer(int(ask["status"]), b"as you wish\n", ["Content-Type: text/plain"], method)
        elif url.path == "/big":
            self.answer(200, b"x" * int(ask["bytes"]), [], method)
        elif url.path == "/cut-echo":
            # the request echoed across the place where the answer is cut
            self.answer(200, b"x" * int(ask["at"]) + raw, [], method)
        elif url.path == "/wait":
            time.sleep(float(ask["ms"]) / 1000)
            self.answer(200, b"ok\n", ["Content-Type: text/plain"], method)
        elif url.path == "/hold":
            # the first one waits and gets nothing
            if self.server.recorder.count("hold " + ask.get("id", "")) == 1:
                let_go = os.path.join(self.server.recorder.directory, "release." + ask.get("id", ""))
                until = time.monotonic() + float(ask.get("s", "2"))
                while time.monotonic() < until and not os.path.exists(let_go):
                    time.sleep(0.05)
                return False
            self.answer(200, b"second\n", [], method)
        else:
            self.answer(200, b"ok\n", ["Content-Type: text/plain"], method)
        return True


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    context = None

    def __init__(self, name, recorder, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        self.recorder = recorder
        self.context = context

    def finish_request(self, request, client_address):
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


def make_tls(directory):
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=directory, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    with open(os.path.join(directory, "san.cnf"), "w", encoding="ascii") as f:
        f.write("subjectAltName=IP:127.0.0.1," + ",".join("DNS:" + n for n in NAMES) + "\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=theazo recorder authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
            "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "san.cnf", "-out", "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(directory, "server.pem"), os.path.join(directory, "server.key"))
    return context


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", required=True, help="record and certificates go there")
    args = parser.parse_args()
    os.makedirs(args.dir, exist_ok=True)
    directory = os.path.realpath(args.dir)
    recorder = Recorder(directory)
    context = make_tls(directory)
    servers = [Server("plain", recorder), Server("tls", recorder, context), Server("other", recorder, context)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(*[s.server_address[1] for s in servers], flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    sys.exit(main())
