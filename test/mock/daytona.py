#!/usr/bin/env python3
"""A double of Daytona: the control plane below /api, toolboxes below /toolbox/ID.

Sandboxes are directories; commands run for real, with the shell that a daemon would take. States
move with time and are seen moving only by a GET, answers to anything else show the state of before.
It misbehaves as README.md says. Standard library only. Prints its port on the first line of stdout.
"""

import argparse
import email.parser
import email.policy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import double  # noqa: E402
from double import Answer  # noqa: E402

MOVING = {"creating": "started", "starting": "started", "stopping": "stopped", "pausing": "paused",
          "resuming": "started", "archiving": "archived", "destroying": "destroyed", "snapshotting": "started"}
WORDS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
         409: "Conflict", 422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error"}
LIMITS = {"POST /sandbox": "sandbox-create", "other": "authenticated", "life": "sandbox-lifecycle"}


class State(double.State):
    def __init__(self, args):
        super().__init__(args)
        self.boxes = {}
        self.sessions = {}
        self.snapshots = {name: {"id": str(uuid.uuid4()), "name": name, "state": "active"}
                          for name in ("daytona-small", "py-agent", "node-agent")}
        self.port = None

    def take(self, wish):
        super().take(wish)
        if "key" in wish:
            self.args.key = wish["key"]
        if "old" in wish:
            self.args.old = wish["old"]
        if "hold_ms" in wish:
            self.args.hold_ms = wish["hold_ms"]
        if "move_ms" in wish:
            self.args.move_ms = wish["move_ms"]
        if "kind" in wish:
            self.args.kind = wish["kind"]
        box = self.boxes.get(wish.get("box"))
        if box is not None and "state" in wish:
            self.put(box, wish["state"])

    def document(self):
        return {**super().document(),
                "boxes": [{"id": b["id"], "name": b["name"], "state": self.settle(b), "labels": b["labels"],
                           "ttlMinutes": b["ttlMinutes"], "target": b["target"]} for b in list(self.boxes.values())],
                "snapshots": sorted(self.snapshots)}

    def put(self, box, state):
        box["state"], box["since"] = state, time.time()

    def settle(self, box):
        """The state by now."""
        if box["state"] in MOVING and time.time() - box["since"] >= self.args.move_ms / 1000:
            self.put(box, "error" if box.pop("doomed", False) else MOVING[box["state"]])
            if box["state"] == "error":
                box["errorReason"] = "No runner could start it"
            if box["state"] == "stopped" and box["autoDeleteInterval"] == 0:
                self.put(box, "destroyed")
            if box["state"] in ("stopped", "destroyed", "archived"):
                double.signal_all(box["home"], signal.SIGKILL)
            if box["state"] in ("paused", "started"):
                double.signal_all(box["home"], signal.SIGSTOP if box["state"] == "paused" else signal.SIGCONT)
        if box["state"] == "destroyed":
            self.boxes.pop(box["id"], None)
            self.ended(box["id"])
            shutil.rmtree(box["home"], ignore_errors=True)
            shutil.rmtree(box["home"] + ".tmp", ignore_errors=True)
        return box["state"]


def shell():
    for name in ("/bin/zsh", "/usr/bin/zsh", "/bin/bash", "/usr/bin/bash"):
        if os.path.exists(name):
            return name
    return os.environ.get("SHELL") or "/bin/sh"


class Handler(double.Handler):
    # ---- what a request is ----

    def operation(self, path):
        if path.startswith("/toolbox/"):
            rest = path[len("/toolbox/"):]
            box, _, inner = rest.partition("/")
            return "toolbox " + self.inner_name("/" + inner), ("toolbox", box, "/" + inner)
        if path.startswith("/preview/"):
            return "preview", ("preview", path)
        if not path.startswith("/api/"):
            return "dashboard", ("dashboard",)
        parts = path[5:].strip("/").split("/")
        if parts[0] == "snapshots" and len(parts) == 2:
            return {"GET": "snapshot get", "DELETE": "snapshot delete"}.get(self.command, "unknown"), ("snapshots", parts[1])
        if parts[0] != "sandbox":
            return "unknown", ("unknown",)
        if len(parts) == 1:
            return ("create" if self.command == "POST" else "list"), ("box", None, [])
        if len(parts) == 2:
            return {"GET": "get", "DELETE": "delete"}.get(self.command, "unknown"), ("box", parts[1], [])
        return parts[2] if len(parts) < 5 else parts[4], ("box", parts[1], parts[2:])

    def inner_name(self, inner):
        return re.sub(r"/session/[^/]+(/command/[^/]+)?", lambda m: "/session" + ("/command" if m.group(1) else ""), inner)

    def fail(self, status, message, headers=None):
        return Answer(status, {"path": self.url.path, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
                               "statusCode": status, "error": WORDS.get(status, "Error"), "message": message}, headers=headers)

    def inner_fail(self, status, message, code):
        doc = {"statusCode": status, "message": message, "code": code, "method": self.command, "path": self.url.path,
               "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "source": "DAYTONA_DAEMON"}
        if self.state.args.old:
            del doc["source"]
            doc["code"] = WORDS.get(status, "Error").upper().replace(" ", "_")
        return Answer(status, doc)

    def carry_out(self, op, found, body, rule):
        if found[0] == "dashboard":
            return Answer(200, raw=b"<!doctype html><html><title>Daytona</title></html>", kind="text/html")
        if found[0] == "preview":
            return self.preview()
        if self.headers.get("Authorization") != "Bearer " + self.state.args.key:
            if found[0] == "toolbox":
                return Answer(401, {"statusCode": 401, "message": "unauthorized: Bearer token is invalid"})
            return self.fail(401, "Invalid credentials")
        if rule.get("throttle"):
            which = rule["throttle"]
            return self.fail(429, "ThrottlerException: Too Many Requests",
                             {"X-RateLimit-Limit-" + which: "1", "X-RateLimit-Remaining-" + which: "0",
                              "X-RateLimit-Reset-" + which: "1", "Retry-After-" + which: str(rule.get("seconds", 1))})
        if found[0] == "unknown":
            return self.fail(404, "Cannot %s %s" % (self.command, self.url.path))
        if found[0] == "toolbox":
            return self.toolbox(found[1], found[2], body, rule)
        if found[0] == "snapshots":
            return self.snapshots(op, found[1])
        if op == "create":
            return self.create(json.loads(body), rule)
        if op == "list":
            return self.listed()
        return self.on_box(op, found, body, rule)

    # ---- control plane ----

    def shown(self, box, state=None):
        doc = {k: v for k, v in box.items() if k not in ("home", "since", "doomed", "token")}
        doc["state"] = state or self.state.settle(box)
        doc["desiredState"] = "started" if doc["state"] in ("creating", "starting", "started") else doc["state"]
        doc["toolboxProxyUrl"] = "http://127.0.0.1:%d/toolbox" % self.state.port
        return doc

    def create(self, body, rule):
        st = self.state
        sizes = [k for k in ("cpu", "memory", "disk") if body.get(k) is not None]
        if sizes and not body.get("buildInfo"):
            return self.fail(400, "Cannot specify Sandbox resources when using a snapshot")
        if body.get("snapshot") is not None and body["snapshot"] not in st.snapshots:
            return self.fail(400, "Snapshot %s not found. Did you add it through the Daytona Dashboard?" % body["snapshot"])
        if body.get("target") == "mars":
            return self.fail(403, "Region mars is not available to the organization")
        if rule.get("quota"):
            return self.fail(400, "Total CPU limit exceeded. Maximum allowed: 10.")
        with st.lock:
            box_id = str(uuid.uuid4())
            name = body.get("name") or box_id
            if any(b["name"] == name for b in st.boxes.values()):
                return self.fail(409, "Sandbox with name %s already exists" % name)
            box = {"id": box_id, "organizationId": "org", "name": name, "snapshot": body.get("snapshot", "daytona-small"),
                   "user": body.get("user", "daytona"), "env": body.get("env") or {}, "labels": body.get("labels") or {},
                   "public": bool(body.get("public")), "networkBlockAll": bool(body.get("networkBlockAll")),
                   "networkAllowList": body.get("networkAllowList"), "domainAllowList": body.get("domainAllowList"),
                   "target": body.get("target") or "us", "cpu": 1, "gpu": 0, "memory": 1, "disk": 3, "recoverable": False,
                   "errorReason": None, "autoStopInterval": body.get("autoStopInterval", 15),
                   "autoArchiveInterval": body.get("autoArchiveInterval", 10080),
                   "autoDeleteInterval": body.get("autoDeleteInterval", -1), "ttlMinutes": body.get("ttlMinutes", 0),
                   "sandboxClass": st.args.kind, "daemonVersion": "0.100.0" if st.args.old else "0.190.0",
                   "createdAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                   "home": tempfile.mkdtemp(prefix="box-", dir=st.args.dir), "token": uuid.uuid4().hex}
            os.mkdir(box["home"] + ".tmp")
            kept = st.snapshots.get(box["snapshot"], {}).get("home")
            if kept:
                subprocess.run(["cp", "-a", kept + "/.", box["home"]], check=True)
            st.put(box, "creating")
            st.boxes[box_id] = box
            st.born(box_id, box["labels"].get("theazo.id"))
            if rule.get("fail_start"):
                box["doomed"] = True
        # held until it has started, but what is answered is what it was when it was made
        until = time.time() + st.args.hold_ms / 1000
        while time.time() < until and box["state"] == "creating":
            time.sleep(0.01)
            with st.lock:
                st.settle(box)
        if box["state"] == "error":
            return self.fail(400, "Sandbox failed to start: No runner could start it")
        return Answer(200, self.shown(box, "creating"))

    def listed(self):
        want = json.loads(self.query.get("labels") or "{}")
        limit = int(self.query.get("limit") or 100)
        if not 1 <= limit <= 200:
            return self.fail(400, "limit must not be greater than 200")
        with self.state.lock:
            boxes = list(self.state.boxes.values())
            items = [self.shown(b) for b in boxes
                     if all(b["labels"].get(k) == v for k, v in want.items())]
        start = int(self.query.get("cursor") or 0)
        more = start + limit < len(items)
        return Answer(200, {"items": items[start:start + limit], "nextCursor": str(start + limit) if more else None})

    def on_box(self, op, found, body, rule):
        st = self.state
        with st.lock:
            box = st.boxes.get(found[1]) or next((b for b in st.boxes.values() if b["name"] == found[1]), None)
            state = st.settle(box) if box else "destroyed"
            if state == "destroyed":
                return self.fail(404, "Sandbox with ID or name %s not found" % found[1])
            if op == "get":
                return Answer(200, self.shown(box))
            before = self.shown(box, state)
            if op == "labels":
                box["labels"] = json.loads(body)["labels"]
                return Answer(200, {"labels": box["labels"]})
            if op in ("autostop", "autodelete", "autoarchive", "ttl"):
                box[{"autostop": "autoStopInterval", "autodelete": "autoDeleteInterval", "autoarchive": "autoArchiveInterval",
                     "ttl": "ttlMinutes"}[op]] = int(found[2][1])
                return Answer(200, self.shown(box))
            if op == "toolbox-proxy-url":
                return Answer(200, {"url": "http://127.0.0.1:%d/toolbox" % st.port})
            if op in ("preview-url", "signed-preview-url"):
                return self.preview_url(op, box, found[2])
            if op == "delete":
                if rule.get("forks"):
                    return self.fail(400, "Sandbox has live forks")
                if state == "destroying":
                    return self.fail(409, "Sandbox state change in progress")
                st.put(box, "destroying")
                return Answer(200, before)
            if state in MOVING:
                return self.fail(409, "Sandbox state change in progress")
            if op == "snapshot":
                return self.shoot(box, state, json.loads(body), rule, before)
            if op == "start":
                if state == "started":
                    return Answer(200, before)
                if state not in ("stopped", "paused", "archived"):
                    return self.fail(400, "Sandbox is not in valid state")
                st.put(box, "resuming" if state == "paused" else "starting")
                box["token"] = uuid.uuid4().hex
            elif op == "stop":
                if state != "started":
                    return self.fail(400, "Sandbox is not started")
                st.put(box, "stopping")
            elif op == "pause":
                if state != "started":
                    return self.fail(400, "Sandbox is not started")
                if box["sandboxClass"] not in ("linux-vm", "windows"):
                    return self.fail(422, "Sandbox class %s does not support pause" % box["sandboxClass"])
                st.put(box, "pausing")
            elif op == "archive":
                if state != "stopped":
                    return self.fail(400, "Sandbox is not stopped")
                st.put(box, "archiving")
            else:
                return self.fail(404, "Cannot %s %s" % (self.command, self.url.path))
            return Answer(200, before)

    def shoot(self, box, state, body, rule, before):
        st, vm = self.state, box["sandboxClass"] != "container"
        if body["name"] in st.snapshots:
            return self.fail(409, "Snapshot with name %s already exists" % body["name"])
        if rule.get("classless") or (body.get("includeMemory") and not vm):
            return self.fail(422, "Sandbox class %s does not support it" % box["sandboxClass"])
        if vm and bool(body.get("includeMemory")) != (state == "started"):
            return self.fail(400, "Sandbox is not in valid state")
        kept = tempfile.mkdtemp(prefix="snapshot-", dir=st.args.dir)
        subprocess.run(["cp", "-a", box["home"] + "/.", kept], check=True)
        st.snapshots[body["name"]] = {"id": str(uuid.uuid4()), "name": body["name"], "state": "snapshotting", "size": 0.25, "home": kept,
                                      "since": time.time(), "fails": bool(rule.get("fail_shot"))}
        st.put(box, "snapshotting")
        return Answer(200, before)

    def snapshots(self, op, name):
        st = self.state
        with st.lock:
            one = next((s for s in st.snapshots.values() if name in (s["name"], s["id"])), None)
            if one is None:
                return self.fail(404, "Snapshot %s not found" % name)
            if op == "snapshot delete":
                del st.snapshots[one["name"]]
                shutil.rmtree(one.get("home") or "/nonexistent", ignore_errors=True)
                return Answer(200)
            if one["state"] == "snapshotting" and time.time() - one["since"] >= st.args.move_ms / 1000:
                one.update(state="error" if one["fails"] else "active", errorReason="no room" if one["fails"] else None)
            return Answer(200, {k: v for k, v in one.items() if k not in ("home", "since", "fails")})

    def preview_url(self, op, box, parts):
        port = int(parts[1]) if parts[1].isdigit() else 0
        if not 1 <= port <= 65535:
            return self.fail(400, "Invalid port")
        base = "http://127.0.0.1:%d/preview/%d-%s" % (self.state.port, port, box["id"])
        if op == "preview-url":
            return Answer(200, {"sandboxId": box["id"], "url": base, "token": box["token"]})
        seconds = int(self.query.get("expiresInSeconds") or 60)
        if not 1 <= seconds <= 86400:
            return self.fail(400, "expiresInSeconds must be between 1 second and 24 hours")
        token = "signed-" + box["token"][:16]
        return Answer(200, {"sandboxId": box["id"], "port": port, "token": token,
                            "url": base.replace(str(port) + "-" + box["id"], "%d-%s" % (port, token))})

    def preview(self):
        label = self.url.path.split("/")[2]
        token = self.headers.get("x-daytona-preview-token")
        for box in self.state.boxes.values():
            if label.endswith(box["id"]) and (token == box["token"]
                                              or self.headers.get("Authorization") == "Bearer " + self.state.args.key):
                return Answer(200, raw=b"hello from inside\n", kind="text/plain")
            if label.endswith("signed-" + box["token"][:16]):
                return Answer(200, raw=b"hello from inside\n", kind="text/plain")
        return Answer(307, raw=b"", kind="text/html", headers={"Location": "http://127.0.0.1:%d/login" % self.state.port})

    # ---- toolbox ----

    def toolbox(self, box_id, inner, body, rule):
        st = self.state
        with st.lock:
            box = st.boxes.get(box_id)
            state = st.settle(box) if box else "destroyed"
        if state == "destroyed":
            return Answer(404, {"statusCode": 404, "message": "sandbox container not found", "error": "Not Found"})
        if state != "started":
            return Answer(400, {"statusCode": 400, "error": "Bad Request",
                                "message": "no IP address found. Is the Sandbox started?"})
        home = box["home"]
        if inner == "/process/execute":
            return self.execute(box, json.loads(body))
        if inner == "/process/code-run":
            return self.code_run(box, json.loads(body))
        if inner.startswith("/process/session"):
            return self.session(box, inner, body)
        if inner == "/files/download":
            return self.download(home)
        if inner == "/files/bulk-download":
            return self.bulk_download(home, json.loads(body))
        if inner == "/files/bulk-upload":
            return self.bulk_upload(home, body)
        if inner in ("/files/upload", "/files/upload-v2"):
            return self.upload(home, inner, body)
        if inner in ("/files", "/files/"):
            return self.files(home) if self.command == "GET" else self.remove(home)
        if inner == "/files/info":
            path = self.path_in(home, self.query["path"])
            if not os.path.exists(path):
                return self.inner_fail(404, "stat %s: no such file or directory" % self.query["path"], "FILE_NOT_FOUND")
            return Answer(200, self.entry(home, path))
        if inner == "/files/folder":
            os.makedirs(self.path_in(home, self.query["path"]), exist_ok=True)
            return Answer(201)
        if inner == "/system/metrics" and not st.args.old:
            return Answer(200, {"cpuCount": 1, "cpuUsedPct": 0 if rule.get("first") else 3.5, "memTotal": 1 << 30, "memUsed": 96 << 20,
                                "memCache": 0, "diskTotal": 3 << 30, "diskUsed": 12 << 20, "diskFree": 2 << 30,
                                "timestamp": "2026-01-01T00:00:00Z", "timestampUnix": 1767225600})
        if inner in ("/work-dir", "/user-home-dir", "/project-dir"):
            return Answer(200, {"dir": home})
        if inner == "/port":
            return Answer(200, {"ports": []})
        if re.fullmatch(r"/port/\d+/in-use", inner):
            return Answer(200, {"isInUse": False})
        return self.inner_fail(404, "404 page not found", "NOT_FOUND")

    def environment(self, box, more):
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": box["home"], "LANG": "C.UTF-8", "DOUBLE_HOME": box["home"],
               "TMPDIR": box["home"] + ".tmp"}
        env.update(box["env"])
        env.update(more or {})
        return env

    def run(self, box, argv, text, env, cwd, timeout):
        """exit code and output, or None when its time was up."""
        try:
            p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 cwd=cwd or box["home"], env=self.environment(box, env), start_new_session=True)
        except OSError as e:
            return -1, str(e).encode()
        try:
            out, _ = p.communicate(text.encode(), timeout=timeout or None)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.communicate()
            return None
        return (p.returncode if p.returncode >= 0 else -1), out

    def execute(self, box, request):
        if not request.get("command", "").strip():
            return self.inner_fail(400, "command cannot be empty or whitespace-only", "BAD_REQUEST")
        done = self.run(box, [shell()], request["command"], request.get("envs"), request.get("cwd"), request.get("timeout"))
        if done is None:
            return self.inner_fail(408, "command execution timeout", "PROCESS_EXECUTION_TIMEOUT")
        return Answer(200, {"exitCode": done[0], "result": done[1].decode("utf-8", "replace")})

    def code_run(self, box, request):
        runner = {"python": ["python3", "-"], "javascript": ["node", "-"], "typescript": ["node", "-"]}.get(request.get("language"))
        if runner is None:
            return self.inner_fail(400, "unsupported language", "BAD_REQUEST")
        done = self.run(box, ["sh", "-c", " ".join(runner + (request.get("argv") or []))], request["code"], request.get("envs"),
                        None, request.get("timeout"))
        if done is None:
            return self.inner_fail(408, "command execution timeout", "PROCESS_EXECUTION_TIMEOUT")
        return Answer(200, {"exitCode": done[0], "result": done[1].decode("utf-8", "replace"), "artifacts": {"charts": []}})

    def session(self, box, inner, body):
        parts = inner.strip("/").split("/")[2:]
        sessions = self.state.sessions.setdefault(box["id"], {})
        if not parts:
            if self.command == "GET":
                return Answer(200, [{"sessionId": s, "commands": []} for s in sessions])
            name = json.loads(body)["sessionId"]
            if name in sessions:
                return self.inner_fail(409, "session already exists", "SESSION_EXISTS")
            sessions[name] = {}
            return Answer(201)
        if parts[0] not in sessions:
            return self.inner_fail(404, "session not found", "SESSION_NOT_FOUND")
        commands = sessions[parts[0]]
        if len(parts) == 1 and self.command == "DELETE":
            for c in sessions.pop(parts[0]).values():
                if c["process"].poll() is None:
                    os.killpg(c["process"].pid, signal.SIGKILL)
            return Answer(204)
        if len(parts) == 1:
            return Answer(200, {"sessionId": parts[0], "commands": [self.told(c) for c in commands.values()]})
        if parts[1] == "exec":
            return self.session_exec(box, commands, json.loads(body))
        command = commands.get(parts[2])
        if command is None:
            return self.inner_fail(404, "command not found", "COMMAND_NOT_FOUND")
        if len(parts) == 3:
            return Answer(200, self.told(command))
        return self.logs(command)

    def told(self, command):
        doc = {"id": command["id"], "command": command["command"]}
        if command["process"].poll() is not None:
            doc["exitCode"] = command["process"].returncode
        return doc

    def session_exec(self, box, commands, request):
        p = subprocess.Popen(["sh", "-c", request["command"]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, cwd=box["home"], env=self.environment(box, None), start_new_session=True)
        command = {"id": str(uuid.uuid4()), "command": request["command"], "process": p, "lines": []}
        commands[command["id"]] = command
        threads = []
        for stream, mark in ((p.stdout, b"\1\1\1"), (p.stderr, b"\2\2\2")):
            t = threading.Thread(target=self.gather, args=(command, stream, mark), daemon=True)
            t.start()
            threads.append(t)
        if request.get("runAsync") or request.get("async"):
            return Answer(202, {"cmdId": command["id"]})
        p.wait()
        for t in threads:
            t.join()
        doc = {"cmdId": command["id"], "exitCode": p.returncode, "output": self.text(command, None).decode("utf-8", "replace")}
        if self.new_client():
            doc.update(stdout=self.text(command, b"\1\1\1").decode("utf-8", "replace"),
                       stderr=self.text(command, b"\2\2\2").decode("utf-8", "replace"),
                       output=b"".join(m + line for m, line in command["lines"]).decode("utf-8", "replace"))
        return Answer(200, doc)

    def gather(self, command, stream, mark):
        """By lines, so a last one without an end gets one."""
        for line in stream:
            command["lines"].append((mark, line if line.endswith(b"\n") else line + b"\n"))

    def text(self, command, mark):
        return b"".join(line for m, line in command["lines"] if mark is None or m == mark)

    def new_client(self):
        version = re.match(r"(\d+)\.(\d+)", self.headers.get("X-Daytona-SDK-Version") or "")
        return version is not None and (int(version[1]), int(version[2])) >= (0, 167)

    def logs(self, command):
        if self.new_client():
            return Answer(200, {"output": self.text(command, None).decode("utf-8", "replace"),
                                "stdout": self.text(command, b"\1\1\1").decode("utf-8", "replace"),
                                "stderr": self.text(command, b"\2\2\2").decode("utf-8", "replace")})
        if self.headers.get("X-Daytona-Split-Output") == "true":
            return Answer(200, raw=b"".join(m + line for m, line in command["lines"]), kind="text/plain")
        return Answer(200, raw=self.text(command, None), kind="text/plain")

    # ---- files ----

    def path_in(self, home, path):
        full = os.path.realpath(os.path.join(home, path))
        if full != home and not full.startswith(home + os.sep):
            raise Answer(403, {"statusCode": 403, "message": "permission denied", "code": "FORBIDDEN", "source": "DAYTONA_DAEMON"})
        return full

    def entry(self, home, path):
        info = os.stat(path)
        doc = {"name": os.path.basename(path), "isDir": os.path.isdir(path), "size": info.st_size, "mode": "-rw-r--r--",
               "permissions": "0644", "owner": "1000", "group": "1000", "modTime": "2026-01-01 00:00:00 +0000 UTC"}
        if not self.state.args.old:
            doc.update(modifiedAt="2026-01-01T00:00:00Z", path=path)
        return doc

    def download(self, home):
        if not self.query.get("path"):
            return self.inner_fail(400, "path is required", "BAD_REQUEST")
        path = self.path_in(home, self.query["path"])
        if os.path.isdir(path):
            return self.inner_fail(400, "path must be a file", "INVALID_PATH")
        if not os.path.exists(path):
            return self.inner_fail(404, "stat %s: no such file or directory" % path, "FILE_NOT_FOUND")
        with open(path, "rb") as f:
            return Answer(200, raw=f.read(), kind="application/octet-stream")

    def bulk_download(self, home, request):
        out = b""
        for name in request["paths"]:
            path = self.path_in(home, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    field, kind, data = "file", "application/octet-stream", f.read()
            else:
                field, kind = "error", "application/json"
                data = json.dumps({"statusCode": 404, "message": "file not found", "code": "FILE_NOT_FOUND"}).encode()
            out += b"--BULK\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\nContent-Type: %s\r\n\r\n" % (
                field.encode(), name.encode(), kind.encode()) + data + b"\r\n"
        return Answer(200, raw=out + b"--BULK--\r\n", kind="multipart/form-data; boundary=BULK")

    def parts(self, body):
        head = b"Content-Type: " + self.headers.get("Content-Type", "").encode() + b"\r\nMIME-Version: 1.0\r\n\r\n"
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        if not message.is_multipart():
            raise Answer(400, {"errors": ["invalid multipart form"]})
        # the parser above repairs line ends: bytes are cut out by hand
        boundary = b"--" + message.get_boundary().encode()
        names = [p.get_param("name", header="content-disposition") for p in message.iter_parts()]
        pieces = (b"\r\n" + body).split(b"\r\n" + boundary)[1:-1]
        return [(n, p.split(b"\r\n\r\n", 1)[1]) for n, p in zip(names, pieces)]

    def bulk_upload(self, home, body):
        where, files, errors = {}, [], []
        for name, data in self.parts(body):
            index = re.search(r"\[(\d+)\]", name or "")
            if name.endswith(".path"):
                where[index[1]] = data.decode().strip()
            elif name.endswith(".file"):
                if index[1] not in where:
                    errors.append("file[%s]: missing .path metadata" % index[1])
                    continue
                path = self.path_in(home, where[index[1]])
                try:
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with open(path, "wb") as f:
                        f.write(data)
                    files.append({"path": where[index[1]], "bytes": len(data)})
                except OSError as e:
                    errors.append("%s: create: %s" % (where[index[1]], e))
        if errors:
            return Answer(400, {"errors": errors, "files": files})
        return Answer(200, {"files": files})

    def upload(self, home, inner, body):
        if inner.endswith("-v2") and self.state.args.old:
            return self.inner_fail(404, "404 page not found", "NOT_FOUND")
        path = self.path_in(home, self.query["path"])
        data = body
        if (self.headers.get("Content-Type") or "").startswith("multipart/"):
            data = dict(self.parts(body))["file"]
        elif not inner.endswith("-v2"):
            return self.inner_fail(400, "request Content-Type isn't multipart/form-data", "BAD_REQUEST")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return Answer(200, {"name": os.path.basename(path), "path": path, "type": "file"})

    def files(self, home):
        path = self.path_in(home, self.query.get("path") or ".")
        if not os.path.exists(path):
            return self.inner_fail(404, "open %s: no such file or directory" % path, "FILE_NOT_FOUND")
        if not os.path.isdir(path):
            return self.inner_fail(400, "not a directory", "INVALID_PATH")
        return Answer(200, [self.entry(home, os.path.join(path, n)) for n in sorted(os.listdir(path))])

    def remove(self, home):
        path = self.path_in(home, self.query["path"])
        if not os.path.exists(path):
            return self.inner_fail(404, "no such file", "FILE_NOT_FOUND")
        if os.path.isdir(path):
            if self.query.get("recursive") != "true":
                return self.inner_fail(400, "path is a directory", "INVALID_PATH")
            shutil.rmtree(path)
        else:
            os.remove(path)
        return Answer(204)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    parser.add_argument("--key", default="dtn_test")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--old", action="store_true", help="a daemon without upload-v2 and metrics")
    parser.add_argument("--kind", default="container", help="class of sandboxes")
    parser.add_argument("--hold-ms", type=int, default=30000, help="how long a creation is held")
    parser.add_argument("--move-ms", type=int, default=100, help="how long a move between states takes")
    args = parser.parse_args()
    double.run(Handler, State(args))


if __name__ == "__main__":
    main()
