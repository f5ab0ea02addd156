#!/usr/bin/env python3
"""A server that is told by theazo's webhooks, and believes only what is signed.

    WEBHOOK_SECRET=whsec_... python3 receiver.py 8080

Prints a line for each event, once. While a key is being replaced, give both, with a space between them.
Python 3.8 or later, standard library only; verify() is all you need in a server of your own.
"""
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300
BODY_MAX = 4 * 1024 * 1024


def verify(secrets, headers, body, now=None):
    """The event, or ValueError. headers: a mapping that does not mind the case of names; body: the bytes as they came."""
    event_id = headers.get("webhook-id") or ""
    stamp = headers.get("webhook-timestamp") or ""
    if not stamp.isdigit() or abs((time.time() if now is None else now) - int(stamp)) > TOLERANCE_S:
        raise ValueError("too old, or from the future")
    signed = b".".join([event_id.encode(), stamp.encode(), body])
    given = (headers.get("webhook-signature") or "").split()
    for secret in secrets:
        key = base64.b64decode(secret[len("whsec_"):])
        good = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        # no early end: how long it takes must not say how much was right
        if any([hmac.compare_digest(good.encode(), one.encode()) for one in given]):
            event = json.loads(body)
            if event.get("id") != event_id:
                raise ValueError("another event than it says")
            return event
    raise ValueError("not signed by a key that is known")


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    secrets = []
    seen = {}  # of events; one that comes again was handled already

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_MAX:
            return self.answer(413)
        try:
            event = verify(self.secrets, self.headers, self.rfile.read(length))
        except ValueError as error:
            print("refused: %s" % error, file=sys.stderr, flush=True)
            return self.answer(401)
        if event["id"] not in self.seen:
            self.seen[event["id"]] = time.time()
            self.handle_event(event)
        return self.answer(204)

    def handle_event(self, event):
        print(json.dumps(event), flush=True)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    Receiver.secrets = os.environ["WEBHOOK_SECRET"].split()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
