#!/usr/bin/env python3
"""Stands between a client and the socket of a container engine, and holds requests or their answers.

	test/mock/hold.py --dir DIR --to SOCKET

Listens on DIR/engine.sock; line 1 of stdout is the port of its control (127.0.0.1). What has come from the client
goes on to the engine also when the client is gone by then. See README.md. Standard library only.
"""

import argparse
import http.server
import json
import os
import re
import socket
import threading
import time

LINE = re.compile(rb"(GET|POST|PUT|DELETE|HEAD) (\S+) HTTP/1\.[01]\r\n")


class State:
    def __init__(self):
        self.lock = threading.Lock()
        self.rules = []
        self.requests = []

    def rule_for(self, line):
        with self.lock:
            self.requests.append({"t": time.time(), "line": line})
            for rule in self.rules:
                if re.search(rule["match"], line) and rule.get("times", 1) > 0:
                    rule["times"] = rule.get("times", 1) - 1
                    return rule
        return {}


class Connection:
    def __init__(self, state, client, target):
        self.state = state
        self.client = client
        self.engine = socket.socket(socket.AF_UNIX)
        self.engine.connect(target)
        self.after_ms = 0
        threading.Thread(target=self.requests, daemon=True).start()
        threading.Thread(target=self.answers, daemon=True).start()

    def requests(self):
        while True:
            try:
                data = self.client.recv(65536)
            except OSError:
                data = b""
            line = LINE.match(data)
            if line:
                rule = self.state.rule_for((line.group(1) + b" " + line.group(2)).decode())
                self.after_ms = rule.get("after_ms", 0)
                time.sleep(rule.get("before_ms", 0) / 1000)
            try:
                if not data:
                    self.engine.shutdown(socket.SHUT_WR)
                    return
                self.engine.sendall(data)
            except OSError:
                return

    def answers(self):
        while True:
            try:
                data = self.engine.recv(65536)
            except OSError:
                data = b""
            time.sleep(self.after_ms / 1000)
            self.after_ms = 0
            try:
                if not data:
                    self.client.shutdown(socket.SHUT_RDWR)
                    break
                self.client.sendall(data)
            except OSError:
                if not data:
                    break
        self.client.close()
        self.engine.close()


class Control(http.server.BaseHTTPRequestHandler):
    state = None

    def log_message(self, *args):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.state.lock:
            if self.command == "DELETE":
                self.state.rules.clear()
            elif self.command == "POST":
                self.state.rules.insert(0, json.loads(body)["rule"])
            raw = json.dumps({"rules": self.state.rules, "requests": self.state.requests}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_POST = do_DELETE = do_GET


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", required=True)
    parser.add_argument("--to", required=True)
    args = parser.parse_args()
    state = Control.state = State()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Control)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(args.dir, "engine.sock"))
    listener.listen(64)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        client, _ = listener.accept()
        try:
            Connection(state, client, args.to)
        except OSError:
            client.close()


if __name__ == "__main__":
    main()
