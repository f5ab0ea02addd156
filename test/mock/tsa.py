#!/usr/bin/env python3
"""A time-stamp authority on loopback: `openssl ts` behind HTTP.

Makes a certificate authority, a signer and the configuration in --dir (ca.pem is what a client trusts,
other.pem is another authority), prints the port, and answers POST / with a real stamp. POST /_control
{"mode": ...} changes what comes next: ok, reject (a refusal of its own), garbage, empty, error (500), drop
(closes the connection), replay (the stamp of an earlier request), slow (two seconds late), busy (503). With
{"credential": ...} it wants that as bearer token.
"""
import argparse
import http.server
import json
import os
import subprocess
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("--dir", required=True)
args = parser.parse_args()

CONF = """
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
[signer]
basicConstraints = CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = one
[one]
serial = {dir}/serial
signer_cert = {dir}/signer.pem
certs = {dir}/ca.pem
signer_key = {dir}/signer.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_alg = sha256
"""


def run(*command):
    subprocess.run(("openssl",) + command, cwd=args.dir, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def path(name):
    return os.path.join(args.dir, name)


def prepare():
    for name, digests in (("ts.cnf", "sha256"), ("reject.cnf", "sha512")):
        with open(path(name), "w") as out:
            out.write(CONF.format(dir=args.dir, digests=digests))
    with open(path("serial"), "w") as out:
        out.write("01\n")
    for name in ("ca", "other"):
        run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".pem", "-days", "30",
            "-subj", "/CN=test " + name, "-config", "ts.cnf", "-extensions", "ca")
    run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "signer.key", "-out", "signer.csr", "-subj", "/CN=test signer", "-config", "ts.cnf")
    run("x509", "-req", "-in", "signer.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "20",
        "-out", "signer.pem", "-extfile", "ts.cnf", "-extensions", "signer")


lock = threading.Lock()
state = {"mode": "ok", "last": None, "asked": 0, "credential": None}


def stamp(query, config):
    with lock:
        with open(path("query"), "wb") as out:
            out.write(query)
        run("ts", "-reply", "-config", config, "-section", "one", "-queryfile", "query", "-out", "answer")
        with open(path("answer"), "rb") as answer:
            return answer.read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, kind="application/timestamp-reply"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/_control":
            state.update(json.loads(body))
            self.send(200, json.dumps({"asked": state["asked"]}).encode(), "application/json")
            return
        state["asked"] += 1
        mode = state["mode"]
        if state["credential"] is not None and self.headers.get("Authorization") != "Bearer " + state["credential"]:
            self.send(401, b"who are you", "text/plain")
            return
        if mode == "drop":
            self.close_connection = True
            self.connection.close()
            return
        if mode == "slow":
            time.sleep(2)
        if mode in ("error", "busy"):
            self.send(500 if mode == "error" else 503, b"no", "text/plain")
        elif mode == "garbage":
            self.send(200, b"\x30\x82\xff\xff" + os.urandom(200))
        elif mode == "empty":
            self.send(200, b"")
        elif mode == "replay" and state["last"] is not None:
            self.send(200, state["last"])
        else:
            answer = stamp(body, "reject.cnf" if mode == "reject" else "ts.cnf")
            if mode == "ok":
                state["last"] = answer
            self.send(200, answer)


prepare()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
