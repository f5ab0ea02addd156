#!/usr/bin/env python3
"""Between a client and the node of an EVM chain: passes JSON-RPC calls on, notes them, and misbehaves when told to.

chain.py --node PORT prints the port it listens on. POST /_control {"rules": [...]} replaces the rules; the first that
names the method of a call applies, "times" times (default: always). What a rule may do:
  lose    pass the call on and close the connection instead of answering
  refuse  close the connection without passing it on
  hold    pass it on and answer only when the rules change
  before  wait for a change of the rules, then pass it on
  result  answer this, without asking the node
  change  answer the node's result with these members replaced
  garbage answer something that is no JSON
  status  answer with this status and no JSON
GET /_journal gives the methods that were called, with their parameters.
"""
import argparse
import http.server
import json
import threading
import urllib.request

parser = argparse.ArgumentParser()
parser.add_argument("--node", required=True, type=int)
args = parser.parse_args()

changed = threading.Condition()
state = {"rules": [], "version": 0}
journal = []


def ask(body):
    request = urllib.request.Request("http://127.0.0.1:%d" % args.node, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


def rule_for(method):
    with changed:
        for rule in state["rules"]:
            if rule["method"] == method and rule.get("times", 1) > 0:
                if "times" in rule:
                    rule["times"] -= 1
                return rule
    return {}


def wait_for_change():
    with changed:
        version = state["version"]
        changed.wait_for(lambda: state["version"] != version, timeout=60)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def cut(self):
        self.close_connection = True
        self.connection.close()

    def do_GET(self):
        with changed:
            self.send(200, json.dumps(journal).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call = json.loads(body)
        if self.path == "/_control":
            with changed:
                state["rules"] = call["rules"]
                state["version"] += 1
                changed.notify_all()
            self.send(200, b"{}")
            return
        with changed:
            journal.append({"method": call["method"], "params": call["params"]})
        rule = rule_for(call["method"])
        if "refuse" in rule:
            self.cut()
        elif "garbage" in rule:
            self.send(200, b"<html>oops</html>")
        elif "status" in rule:
            self.send(rule["status"], b"no")
        elif "result" in rule:
            self.send(200, json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": rule["result"]}).encode())
        else:
            if "before" in rule:
                wait_for_change()
            answer = ask(body)
            if "change" in rule:
                document = json.loads(answer)
                if isinstance(document.get("result"), dict):
                    document["result"].update(rule["change"])
                answer = json.dumps(document).encode()
            if "hold" in rule:
                wait_for_change()
            if "lose" in rule:
                self.cut()
            else:
                self.send(200, answer)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
