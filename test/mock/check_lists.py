#!/usr/bin/env python3
"""What the doubles of E2B, Daytona and Fly must reproduce, line by line, asked for by hand.

The vendors' own clients judge the doubles where there are any (clients/); what they do not show, because
they hide it or have no client, is asked here. Prints TAP lines; ends with 1 if any is not ok.
"""

import base64
import gzip
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
number = 0
failed = 0
KEY = "key_4711"


class Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


opener = urllib.request.build_opener(Redirects)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def call(method, url, body=None, headers=None):
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)
    if data is not None and "Content-type" not in request.headers:
        request.add_header("Content-Type", "application/json")
    try:
        with opener.open(request, timeout=30) as r:
            return Reply(r.status, r.headers, r.read())
    except urllib.error.HTTPError as e:
        return Reply(e.code, e.headers, e.read())


def waits(condition, seconds=10):
    """Does the condition come true within these seconds?"""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.03)
    return True


def ok(what, value, wanted=True):
    global number, failed
    number += 1
    if value == wanted:
        print("ok %d - %s" % (number, what))
    else:
        failed += 1
        print("not ok %d - %s\n    %r, not %r" % (number, what, value, wanted))


def broken(method, url, body, headers):
    """Does the call end without an answer?"""
    try:
        call(method, url, body, headers)
        return False
    except (OSError, ValueError, urllib.error.URLError):
        return True
    except Exception as e:  # what http.client says of half an answer
        return type(e).__name__ in ("IncompleteRead", "RemoteDisconnected", "BadStatusLine")


class Double:
    def __init__(self, script, *arguments):
        self.dir = tempfile.mkdtemp(prefix="double-")
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, script), "--dir", self.dir, "--key", KEY, *arguments],
                                        stdout=subprocess.PIPE)
        self.ports = self.process.stdout.readline().decode().split()
        self.base = "http://127.0.0.1:" + self.ports[0]

    def control(self, **wish):
        return call("POST", self.base + "/_control", wish).json()

    def rule(self, **rule):
        self.control(rule={"times": 1, **rule})

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


# --- E2B ---------------------------------------------------------------------------------------


def e2b():
    d = Double("e2b.py", "--no-fsync", "--max-timeout", "7200", "--disk", "100000")
    gate = "http://127.0.0.1:" + d.ports[1]
    auth = {"X-API-Key": KEY}

    def api(method, path, body=None, headers=None):
        return call(method, d.base + path, body, auth if headers is None else headers)

    def inside(box, method, path, body=None, **more):
        headers = {"E2b-Sandbox-Id": box["sandboxID"], "E2b-Sandbox-Port": "49983", "X-Access-Token": box["envdAccessToken"] or "",
                   **{k.replace("_", "-"): v for k, v in more.items()}}
        return call(method, gate + path, body, {k: v for k, v in headers.items() if v is not None})

    def frames(reply):
        data, out = reply.body, []
        while data:
            flag, size = struct.unpack(">BI", data[:5])
            out.append((flag, json.loads(data[5:5 + size])))
            data = data[5 + size:]
        return out

    def start(box, command, tag=None, **more):
        doc = {"process": {"cmd": "/bin/bash", "args": ["-l", "-c", command], **more.pop("process", {})}, "stdin": False}
        if tag:
            doc["tag"] = tag
        body = json.dumps(doc).encode()
        return inside(box, "POST", "/process.Process/Start", struct.pack(">BI", 0, len(body)) + body,
                      Content_Type=more.pop("kind", "application/connect+json"), Connect_Protocol_Version="1", **more)

    made = time.time()
    plain = api("POST", "/sandboxes", {"templateID": "base"})
    ok("e2b: 201", plain.status, 201)
    until = [s for s in d.control()["sandboxes"] if s["id"] == plain.json()["sandboxID"]][0]["deadline"]
    ok("e2b: 15 seconds where nothing is said", 14 <= until - made <= 40)
    ok("e2b: no token where it is not asked for", plain.json()["envdAccessToken"], None)
    ok("e2b: timeout 0", api("POST", "/sandboxes", {"templateID": "base", "timeout": 0}).status, 400)
    ok("e2b: timeout beyond the team's", api("POST", "/sandboxes", {"templateID": "base", "timeout": 7201}).status, 400)
    ok("e2b: no key", api("GET", "/v2/sandboxes", headers={}).status, 401)
    ok("e2b: another key", api("GET", "/v2/sandboxes", headers={"X-API-Key": "e2b_other"}).status, 401)
    ok("e2b: no such template", api("POST", "/sandboxes", {"templateID": "nothing"}).status, 404)
    d.control(max_sandboxes=0)
    many = api("POST", "/sandboxes", {"templateID": "base"})
    ok("e2b: too many at once", (many.status, many.headers.get("Retry-After")), (429, None))
    d.control(max_sandboxes=None)
    d.rule(op="create", mode="rate", retry_after=3)
    rate = api("POST", "/sandboxes", {"templateID": "base"})
    ok("e2b: too many requests", (rate.status, rate.headers.get("Retry-After"), rate.headers.get("RateLimit-Remaining")), (429, "3", "0"))
    for status, code in ((503, "sandbox_no_compatible_node"), (504, "sandbox_placement_timeout")):
        d.rule(op="create", mode="status", status=status, body={"code": status, "message": "Failed to place sandbox", "error_code": code})
        refused = api("POST", "/sandboxes", {"templateID": "base"})
        ok("e2b: %d" % status, (refused.status, refused.json()["error_code"]), (status, code))

    box = api("POST", "/sandboxes", {"templateID": "base", "timeout": 600, "secure": True}).json()
    ok("e2b: a header is missing", call("GET", gate + "/health", headers={"E2b-Sandbox-Id": box["sandboxID"]}).status, 400)
    ok("e2b: as text", call("GET", gate + "/health", headers={"E2b-Sandbox-Id": box["sandboxID"]}).headers["Content-Type"].split(";")[0], "text/plain")
    nobody = call("GET", gate + "/health", headers={"E2b-Sandbox-Id": "inobody", "E2b-Sandbox-Port": "49983"})
    ok("e2b: no such sandbox: 502 without a port", (nobody.status, "port" in nobody.json()), (502, False))
    closed = call("GET", gate + "/", headers={"E2b-Sandbox-Id": box["sandboxID"], "E2b-Sandbox-Port": "8080"})
    ok("e2b: nobody listens: 502 with the port", (closed.status, closed.json()["port"]), (502, 8080))
    ok("e2b: by a host name", call("GET", gate + "/health", headers={"Host": "49983-%s.localhost" % box["sandboxID"]}).status, 204)

    ok("e2b: no token: 401 of RPC", start(box, "true", X_Access_Token=None).status, 401)
    ok("e2b: no token: 401 of figures", inside(box, "GET", "/metrics", X_Access_Token=None).status, 401)
    ok("e2b: no token: health is told all the same", inside(box, "GET", "/health", X_Access_Token=None).status, 204)
    ok("e2b: no signature: 401 of files", inside(box, "GET", "/files?path=a", X_Access_Token=None).status, 401)

    ok("e2b: 415 of another content type", start(box, "true", kind="application/json").status, 415)
    good = frames(start(box, "echo out; echo err >&2"))
    ok("e2b: it begins with a start and ends with the end of the stream", ("start" in good[0][1]["event"], good[-1][0]), (True, 2))
    ends = [f["event"]["end"] for n, f in good if n == 0 and "end" in f["event"]]
    ok("e2b: no exit code where it is 0", [("exitCode" in e, e["status"]) for e in ends], [(False, "exit status 0")])
    seven = [f["event"]["end"] for n, f in frames(start(box, "exit 7")) if n == 0 and "end" in f["event"]]
    ok("e2b: another one", seven[0]["exitCode"], 7)
    killed = [f["event"]["end"] for n, f in frames(start(box, "kill -9 $$")) if n == 0 and "end" in f["event"]]
    ok("e2b: a signal", (killed[0]["exitCode"], killed[0]["status"]), (-1, "signal: killed"))
    large = [base64.b64decode(f["event"]["data"]["stdout"]) for n, f in frames(start(box, "head -c 100000 /dev/zero")) if n == 0 and "data" in f["event"]]
    ok("e2b: chunks of 32 KiB at most", (max(map(len, large)) <= 32768, sum(map(len, large))), (True, 100000))
    cwd = frames(start(box, "true", process={"cwd": "/nowhere"}))
    ok("e2b: no such directory: an error and no start", (len(cwd), cwd[0][0], cwd[0][1]["error"]["code"]), (1, 2, "invalid_argument"))
    late = start(box, "sleep 30", Connect_Timeout_Ms="300")
    ok("e2b: time is up: 200, an error and no end", (late.status, frames(late)[-1][1]["error"]["code"],
                                                     any("end" in f.get("event", {}) for _, f in frames(late))), (200, "deadline_exceeded", False))
    alive = frames(start(box, "sleep 1.3", Keepalive_Ping_Interval="1"))
    ok("e2b: keep-alives as often as the header says", sum("keepalive" in f.get("event", {}) for _, f in alive) in (1, 2))
    d.rule(op="exec", mode="no_eos")
    ok("e2b: without an end of the stream", [n for n, _ in frames(start(box, "true"))].count(2), 0)
    spellings = {start(box, "true").body[5:20] for _ in range(12)}
    ok("e2b: blanks where nobody expects them", len({s[:3] for s in spellings}) > 1)
    raw = socket.create_connection(("127.0.0.1", int(d.ports[1])))
    doc = json.dumps({"process": {"cmd": "/bin/bash", "args": ["-l", "-c", "until [ -e go ]; do sleep 0.05; done; echo there > s; mv s survived"]}, "stdin": False}).encode()
    body = struct.pack(">BI", 0, len(doc)) + doc
    raw.sendall(("POST /process.Process/Start HTTP/1.1\r\nHost: 127.0.0.1\r\nE2b-Sandbox-Id: %s\r\nE2b-Sandbox-Port: 49983\r\nX-Access-Token: %s\r\n"
                 "Content-Type: application/connect+json\r\nContent-Length: %d\r\n\r\n" % (box["sandboxID"], box["envdAccessToken"], len(body))).encode() + body)
    raw.recv(4096)
    raw.close()
    inside(box, "POST", "/files?path=go", b"", Content_Type="application/octet-stream")
    waits(lambda: inside(box, "GET", "/files?path=survived").status == 200)
    ok("e2b: a process survives who started it", inside(box, "GET", "/files?path=survived").body, b"there\n")
    dead = inside(box, "POST", "/process.Process/SendSignal", {"process": {"pid": 4}, "signal": "SIGNAL_SIGKILL"})
    ok("e2b: a signal to nobody", (dead.status, dead.json()["code"]), (404, "not_found"))
    pid = [f["event"]["start"]["pid"] for _, f in good if "start" in f.get("event", {})][0]
    dead = inside(box, "POST", "/process.Process/SendSignal", {"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"})
    ok("e2b: a signal to one that has ended", (dead.status, dead.json()["code"]), (404, "not_found"))

    word = inside(box, "POST", "/filesystem.Filesystem/ListDir", {"path": "/nowhere"})
    ok("e2b: a daemon's errors have words", (word.status, word.json()["code"]), (404, "not_found"))
    ok("e2b: a gateway's have numbers", nobody.json()["code"], 502)
    empty = api("POST", "/sandboxes", {"templateID": "base", "timeout": 600, "secure": True}).json()
    ok("e2b: no entries where there are none", "entries" in inside(empty, "POST", "/filesystem.Filesystem/ListDir", {"path": "/"}).json(), False)
    ok("e2b: bytes as they are", inside(empty, "POST", "/files?path=d/raw", b"\0\xff", Content_Type="application/octet-stream").status, 200)
    entries = inside(empty, "POST", "/filesystem.Filesystem/ListDir", {"path": "/", "depth": 2}).json()["entries"]
    ok("e2b: sizes are texts, kinds are names", [(e["name"], e["type"], e.get("size")) for e in entries if e["name"] == "raw"], [("raw", "FILE_TYPE_FILE", "2")])

    def form(name, size=1):
        return (b"--B\r\nContent-Disposition: form-data; name=\"" + name + b"\"; filename=\"f\"\r\n\r\n" + b"x" * size + b"\r\n--B--\r\n")
    ok("e2b: a form", inside(empty, "POST", "/files?path=f", form(b"file"), Content_Type="multipart/form-data; boundary=B").json()[0]["name"], "f")
    wrong = inside(empty, "POST", "/files?path=g", form(b"data"), Content_Type="multipart/form-data; boundary=B")
    ok("e2b: a form with another name: 200, and no file", (wrong.status, wrong.json()), (200, []))
    ok("e2b: a directory", inside(empty, "GET", "/files?path=d").status, 400)
    ok("e2b: into a directory", inside(empty, "POST", "/files?path=d", b"x", Content_Type="application/octet-stream").status, 400)
    ok("e2b: no such file", inside(empty, "GET", "/files?path=none").status, 404)
    ok("e2b: no room", inside(empty, "POST", "/files?path=big", b"x" * 200000, Content_Type="application/octet-stream").status, 507)
    packed = inside(empty, "GET", "/files?path=d/raw", Accept_Encoding="gzip")
    ok("e2b: packed when it is asked for", (packed.headers.get("Content-Encoding"), gzip.decompress(packed.body)), ("gzip", b"\0\xff"))
    ok("e2b: and else not", inside(empty, "GET", "/files?path=d/raw", Accept_Encoding="identity").headers.get("Content-Encoding"), None)

    at = "/sandboxes/" + empty["sandboxID"]
    ok("e2b: stored figures of a young one", api("GET", at + "/metrics").json(), [])
    ok("e2b: paused", [api("POST", at + "/pause").status, api("POST", at + "/pause").status], [204, 409])
    ok("e2b: connected: woken, and awake", [api("POST", at + "/connect", {"timeout": 60}).status for _ in range(2)], [201, 200])
    api("POST", at + "/pause")
    logs = [line["timestamp"] for line in api("GET", "/v2" + at + "/logs").json()["logs"]]
    ok("e2b: logs, the newest first", (len(logs) > 1, logs), (True, sorted(logs, reverse=True)))
    ok("e2b: killed while paused, and once", [api("DELETE", at).status for _ in range(2)], [204, 404])

    short = api("POST", "/sandboxes", {"templateID": "base", "timeout": 600, "secure": True}).json()
    d.control(expire=short["sandboxID"])
    ok("e2b: its time is over: 404", api("GET", "/sandboxes/" + short["sandboxID"]).status, 404)
    ok("e2b: and 502", inside(short, "GET", "/health").status, 502)
    sleepy = api("POST", "/sandboxes", {"templateID": "base", "timeout": 600, "autoPause": True}).json()
    d.control(expire=sleepy["sandboxID"])
    ok("e2b: or it sleeps", api("GET", "/sandboxes/" + sleepy["sandboxID"]).json()["state"], "paused")

    code = api("POST", "/sandboxes", {"templateID": "code-interpreter-v1", "timeout": 600, "secure": True}).json()

    def execute(text):
        lines = inside(code, "POST", "/execute", {"code": text}, E2b_Sandbox_Port="49999").body.decode().strip().split("\n")
        return [json.loads(line)["type"] for line in lines]
    d.rule(op="execute", mode="keepalive")
    ok("e2b: code, with a keep-alive", execute("print(1)"), ["keepalive", "number_of_executions", "stdout", "end_of_execution"])
    ok("e2b: code that fails", execute("1/0"), ["number_of_executions", "error", "end_of_execution"])
    d.rule(op="execute", mode="no_eos")
    ok("e2b: code without an end", execute("print(1)"), ["number_of_executions", "stdout"])
    for mode in ("close", "close_after_headers", "half"):
        d.rule(op="ask", mode=mode)
        ok("e2b: reset, " + mode, broken("GET", d.base + "/sandboxes/" + box["sandboxID"], None, auth))
    d.rule(op="create", mode="twice")
    before = d.control()["made"]
    broken("POST", d.base + "/sandboxes", {"templateID": "base"}, auth)
    ok("e2b: two of one tag after a lost reply", d.control()["made"] - before, 2)
    d.end()


# --- Daytona -----------------------------------------------------------------------------------


def daytona():
    d = Double("daytona.py", "--hold-ms", "0", "--move-ms", "150")
    api = d.base + "/api"
    auth = {"Authorization": "Bearer " + KEY}

    def ask(method, path, body=None, **more):
        return call(method, api + path, body, {**auth, **{k.replace("_", "-"): v for k, v in more.items()}})

    def tool(box, method, path, body=None, **more):
        return call(method, d.base + "/toolbox/" + box + path, body, {**auth, **{k.replace("_", "-"): v for k, v in more.items()}})

    def state(box):
        return ask("GET", "/sandbox/" + box).json().get("state")

    def until(box, wanted):
        return waits(lambda: state(box) == wanted)

    made = ask("POST", "/sandbox", {"labels": {"a": "1"}})
    box = made.json()["id"]
    ok("daytona: 200, creating", (made.status, made.json()["state"]), (200, "creating"))
    ok("daytona: started, seen by looking again", until(box, "started"))
    d.control(hold_ms=30000)
    begun = time.time()
    held = ask("POST", "/sandbox", {})
    ok("daytona: held until it has started, and stale all the same", (held.json()["state"], time.time() - begun > 0.1, state(held.json()["id"])), ("creating", True, "started"))
    d.rule(op="create", fail_start=True)
    lost = ask("POST", "/sandbox", {"labels": {"a": "2"}})
    ok("daytona: one that does not start: 400 without an id", (lost.status, "id" in lost.json(), lost.json()["message"][:23]), (400, False, "Sandbox failed to start"))
    d.control(hold_ms=0)
    left = ask("GET", "/sandbox?labels=%7B%22a%22%3A%222%22%7D").json()["items"]
    ok("daytona: its row is left, in error", [b["state"] for b in left], ["error"])
    d.rule(op="create", quota=True)
    quota = ask("POST", "/sandbox", {})
    ok("daytona: quota is 400", (quota.status, quota.json()["message"][:24]), (400, "Total CPU limit exceeded"))
    d.rule(op="create", throttle="sandbox-create", seconds=2)
    limit = ask("POST", "/sandbox", {})
    ok("daytona: 429 with the limit's name", (limit.status, limit.headers["Retry-After-sandbox-create"], limit.headers["X-RateLimit-Remaining-sandbox-create"],
                                              limit.headers.get("Retry-After")), (429, "2", "0", None))
    ok("daytona: 422: a container does not pause", ask("POST", "/sandbox/%s/pause" % box).status, 422)
    d.control(move_ms=3000)
    ask("POST", "/sandbox/%s/stop" % box)
    ok("daytona: 409 on its way", ask("POST", "/sandbox/%s/start" % box).status, 409)
    d.control(move_ms=150)
    until(box, "stopped")
    asleep = tool(box, "POST", "/process/execute", {"command": "true"})
    ok("daytona: not started: 400", (asleep.status, "Is the Sandbox started?" in asleep.json()["message"]), (400, True))
    ask("POST", "/sandbox/%s/start" % box)
    until(box, "started")
    page = call("GET", d.base + "/elsewhere/sandbox", headers=auth)
    ok("daytona: another base path: a page with 200", (page.status, page.headers["Content-Type"]), (200, "text/html"))
    preview = ask("GET", "/sandbox/%s/ports/8080/preview-url" % box).json()
    ok("daytona: a preview without a token: 307", call("GET", preview["url"]).status, 307)
    ok("daytona: with it", call("GET", preview["url"], headers={"x-daytona-preview-token": preview["token"]}).status, 200)
    ok("daytona: 401 of a toolbox", call("POST", d.base + "/toolbox/%s/process/execute" % box, {"command": "true"}).status, 401)
    ok("daytona: no such toolbox: 404", tool("nobody", "GET", "/files").status, 404)
    d.rule(op="toolbox /process/execute", status=502, empty=True)
    dead = tool(box, "POST", "/process/execute", {"command": "true"})
    ok("daytona: 502, empty", (dead.status, dead.body), (502, b""))

    both = tool(box, "POST", "/process/execute", {"command": "echo out; echo err >&2; exit 3"})
    ok("daytona: both streams in one, another exit code is 200", (both.status, both.json()), (200, {"exitCode": 3, "result": "out\nerr\n"}))
    ok("daytona: a signal is -1", tool(box, "POST", "/process/execute", {"command": "kill -9 $$"}).json()["exitCode"], -1)
    begun = time.time()
    late = tool(box, "POST", "/process/execute", {"command": "echo out; sleep 9", "timeout": 1})
    ok("daytona: time is up: 408 and no output", (late.status, "result" in late.json(), time.time() - begun > 0.9), (408, False, True))

    ok("daytona: a session", tool(box, "POST", "/process/session", {"sessionId": "s"}).status, 201)
    ok("daytona: once", tool(box, "POST", "/process/session", {"sessionId": "s"}).status, 409)
    begun = tool(box, "POST", "/process/session/s/exec", {"command": "echo out; echo err >&2; until [ -e go ]; do sleep 0.05; done; exit 2", "runAsync": True})
    command = "/process/session/s/command/" + begun.json()["cmdId"]
    ok("daytona: 202", begun.status, 202)
    ok("daytona: no exit code while it runs", "exitCode" in tool(box, "GET", command).json(), False)
    tool(box, "POST", "/process/execute", {"command": "touch go"})
    waits(lambda: "exitCode" in tool(box, "GET", command).json())
    ok("daytona: then one", tool(box, "GET", command).json()["exitCode"], 2)
    ok("daytona: its log as text", sorted(tool(box, "GET", command + "/logs").body.split()), [b"err", b"out"])
    ok("daytona: in two for a client that says its version", {k: v for k, v in tool(box, "GET", command + "/logs", X_Daytona_SDK_Version="0.167.0").json().items() if k != "output"},
       {"stdout": "out\n", "stderr": "err\n"})
    ok("daytona: with marks", sorted(tool(box, "GET", command + "/logs", X_Daytona_Split_Output="true").body.split(b"\n")), [b"", b"\1\1\1out", b"\2\2\2err"])
    ok("daytona: ended", tool(box, "DELETE", "/process/session/s").status, 204)

    ok("daytona: figures", tool(box, "GET", "/system/metrics").status, 200)
    ok("daytona: bytes as they are", tool(box, "POST", "/files/upload-v2?path=a", b"x").status, 200)
    d.control(old=True)
    ok("daytona: an old daemon has neither", [tool(box, "GET", "/system/metrics").status, tool(box, "POST", "/files/upload-v2?path=a", b"x").status], [404, 404])
    d.control(old=False)

    ok("daytona: no such snapshot is 400", ask("POST", "/sandbox", {"snapshot": "nowhere"}).status, 400)
    d.control(move_ms=3000)
    shot = ask("POST", "/sandbox/%s/snapshot" % box, {"name": "copy"})
    ok("daytona: a snapshot is begun", (shot.status, state(box), ask("GET", "/snapshots/copy").json()["state"]), (200, "snapshotting", "snapshotting"))
    ok("daytona: its name is taken once", ask("POST", "/sandbox/%s/snapshot" % held.json()["id"], {"name": "copy"}).status, 409)
    d.control(move_ms=150)
    until(box, "started")
    ok("daytona: it is there", (ask("GET", "/snapshots/copy").json()["state"], ask("POST", "/sandbox", {"snapshot": "copy"}).status), ("active", 200))
    ok("daytona: and gone", [ask("DELETE", "/snapshots/copy").status, ask("DELETE", "/snapshots/copy").status], [200, 404])
    ok("daytona: containers keep no memory", ask("POST", "/sandbox/%s/snapshot" % box, {"name": "m", "includeMemory": True}).status, 422)
    ok("daytona: a limit", ask("POST", "/sandbox/%s/ttl/7" % box).json()["ttlMinutes"], 7)
    d.control(move_ms=3000)
    gone = ask("DELETE", "/sandbox/" + box)
    ok("daytona: deleted: 200, then destroying", (gone.status, state(box)), (200, "destroying"))
    ok("daytona: 409 meanwhile", ask("DELETE", "/sandbox/" + box).status, 409)
    d.control(move_ms=150)
    ok("daytona: then 404", until(box, None))
    for cut in ("before", "head", "half"):
        d.rule(op="get", cut=cut)
        ok("daytona: reset, " + cut, broken("GET", api + "/sandbox/" + held.json()["id"], None, auth))
    d.end()


# --- Fly ---------------------------------------------------------------------------------------


def fly():
    d = Double("fly.py", "--move-ms", "150", "--no-limit")
    base = d.base + "/v1/apps/boxes/machines"
    auth = {"Authorization": "Bearer " + KEY}

    def ask(method, path="", body=None):
        return call(method, base + path, body, auth)

    def sh(machine, text, **more):
        return ask("POST", "/%s/exec" % machine, {"command": ["sh", "-c", text], "timeout": 10, **more})

    made = ask("POST", "", {"name": "a", "region": "fra", "config": {"image": "x"}})
    m = made.json()["id"]
    ok("fly: 200, created", (made.status, made.json()["state"], made.json()["region"]), (200, "created", "fra"))
    begun = time.time()
    ok("fly: a wait", (ask("GET", "/%s/wait?state=started&timeout=60" % m).json(), time.time() - begun < 50), ({"ok": True}, True))
    begun = time.time()
    ok("fly: in vain: 408", (ask("GET", "/%s/wait?state=suspended&timeout=1" % m).status, time.time() - begun >= 1), (408, True))
    ok("fly: more than a minute: 400", ask("GET", "/%s/wait?state=started&timeout=61" % m).status, 400)
    d.rule(op="create", fail_start=True)
    brief = ask("POST", "", {"name": "b", "config": {}}).json()["id"]
    ok("fly: started, says the wait", ask("GET", "/%s/wait?state=started&timeout=5" % brief).status, 200)
    ok("fly: stopped, says a look", ask("GET", "/" + brief).json()["state"], "stopped")

    quiet = sh(m, "true")
    ok("fly: fields of zero are left out", (quiet.status, quiet.json(), quiet.headers["Content-Type"]), (200, {}, "application/octet-stream"))
    ok("fly: another exit code is 200", sh(m, "echo o; echo e >&2; exit 3").json(), {"exit_code": 3, "stdout": "o\n", "stderr": "e\n"})
    ok("fly: one large body", len(sh(m, "head -c 2000000 /dev/zero | tr '\\0' x").json()["stdout"]), 2000000)
    slow = sh(m, "sleep 5", timeout=1)
    ok("fly: deadline_exceeded", (slow.status, "deadline_exceeded" in json.dumps(slow.json())), (408, True))
    ok("fly: not started: 412", sh(brief, "true").status, 412)

    ok("fly: one form of errors", sorted(ask("GET", "/nobody").json()), ["error", "status"])
    wrong = ask("POST", "", {"name": "c", "config": {"guest": {"memory_mb": 300}}})
    ok("fly: 422, and the other form", (wrong.status, sorted(wrong.json())), (422, ["message", "status"]))
    d.rule(op="suspend", leased=True)
    ok("fly: 409: a lease", ask("POST", "/%s/suspend" % m).status, 409)
    d.rule(op="create", capacity=True)
    full = ask("POST", "", {"name": "d", "config": {}})
    ok("fly: no room", (full.status, full.json()["status"]), (409, "insufficient_capacity"))
    limited = Double("fly.py")
    quick = [call("GET", limited.base + "/v1/apps/boxes/machines", None, auth).status for _ in range(12)]
    limited.end()
    ok("fly: three at once, then 429", (quick[:3], 429 in quick), ([200, 200, 200], True))

    sh(m, "echo kept > kept; (while :; do date +%N > c; mv c ticks; sleep 0.05; done) >/dev/null 2>&1 &")

    def ticks(seconds=8):
        """Does the file change within these seconds?"""
        return sh(m, "until [ -s ticks ]; do sleep 0.05; done; was=$(cat ticks); i=0; while [ $i -lt %d ]; do"
                     " [ \"$(cat ticks)\" = \"$was\" ] || exit 0; sleep 0.05; i=$((i + 1)); done; exit 1" % (seconds * 20)).json().get("exit_code", 0) == 0
    ok("fly: it ticks", ticks())

    def sleep_and_wake(how):
        ask("POST", "/%s/%s" % (m, how))
        ask("GET", "/%s/wait?state=%s&timeout=5" % (m, "suspended" if how == "suspend" else "stopped"))
        told = ask("POST", "/%s/start" % m).json()
        ask("GET", "/%s/wait?state=started&timeout=5" % m)
        return told["previous_state"], sh(m, "cat kept 2>/dev/null").json().get("stdout")
    ok("fly: warm: files are kept", sleep_and_wake("suspend"), ("suspended", "kept\n"))
    ok("fly: and memory", ticks())
    d.control(machine=m, cold=True)
    ok("fly: cold: files are kept", sleep_and_wake("suspend"), ("suspended", "kept\n"))
    ok("fly: processes are not", ticks(1), False)
    ok("fly: stopped: a fresh disk", sleep_and_wake("stop"), ("stopped", None))
    ok("fly: destroyed", ask("DELETE", "/%s?force=true" % m).json(), {"ok": True})
    ok("fly: 404 later", waits(lambda: ask("GET", "/" + m).status == 404))
    d.control(machine=brief, state="destroyed")
    ok("fly: one that ends by itself: 404", ask("GET", "/" + brief).status, 404)
    d.end()


for one in (e2b, daytona, fly):
    try:
        one()
    except Exception as e:  # a line that could not even be asked for
        ok("%s: %r" % (one.__name__, e), False)
print("# %d of %d passed" % (number - failed, number))
sys.exit(1 if failed else 0)
