#!/usr/bin/env python3
"""A double of Fly Machines: /v1/apps/APP/machines. Machines are directories, commands run for real.

States move with time. One request a second and machine, three at once, unless --no-limit. See README.md.
Standard library only. Prints its port on the first line of stdout.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import double  # noqa: E402
from double import Answer  # noqa: E402

MOVING = {"created": "started", "starting": "started", "suspending": "suspended", "stopping": "stopped",
          "destroying": "destroyed"}


class State(double.State):
    def __init__(self, args):
        super().__init__(args)
        self.machines = {}
        self.buckets = {}

    def take(self, wish):
        super().take(wish)
        machine = self.machines.get(wish.get("machine"))
        if machine is not None:
            machine["cold"] = wish.get("cold", False)
            if "state" in wish:
                self.put(machine, wish["state"])

    def document(self):
        return {**super().document(), "machines": [{"id": m["id"], "state": self.settle(m), "region": m["region"]} for m in list(self.machines.values())]}

    def put(self, machine, state):
        machine["state"], machine["since"] = state, time.time()

    def settle(self, machine):
        if machine["state"] in MOVING and time.time() - machine["since"] >= self.args.move_ms / 1000:
            self.put(machine, MOVING[machine["state"]])
            if machine["state"] == "started" and machine.pop("doomed", False):
                self.put(machine, "stopped")
        if machine["state"] in ("stopped", "destroyed", "suspended", "started"):
            self.keep(machine)
        return machine["state"]

    def keep(self, machine):
        state, home = machine["state"], machine["home"]
        if machine.get("seen") == state:
            return
        machine["seen"] = state
        if state == "suspended":
            double.signal_all(home, signal.SIGSTOP)
        elif state == "started":
            if machine.pop("cold", False):
                double.signal_all(home, signal.SIGKILL)
            double.signal_all(home, signal.SIGCONT)
        else:
            double.signal_all(home, signal.SIGKILL)
            shutil.rmtree(home, ignore_errors=True)
            if state == "destroyed":
                self.machines.pop(machine["id"], None)
                self.ended(machine["id"])
            else:
                os.makedirs(home + "/tmp")

    def limited(self, key):
        tokens, at = self.buckets.get(key, (3.0, time.time()))
        tokens = min(3.0, tokens + time.time() - at)
        self.buckets[key] = (tokens - 1 if tokens >= 1 else tokens, time.time())
        return tokens < 1


class Handler(double.Handler):
    def operation(self, path):
        parts = path.strip("/").split("/")
        if len(parts) < 4 or parts[0] != "v1" or parts[3] != "machines":
            return "unknown", None
        if len(parts) == 4:
            return ("create" if self.command == "POST" else "list"), (parts[2], None)
        if len(parts) == 5:
            return {"GET": "get", "DELETE": "delete"}.get(self.command, "update"), (parts[2], parts[4])
        return parts[5], (parts[2], parts[4])

    def fail(self, status, message, word=None):
        if word:
            return Answer(status, {"error": message, "status": word})
        return Answer(status, {"status": "error", "message": message})

    def shown(self, machine):
        return {"id": machine["id"], "name": machine["name"], "state": self.state.settle(machine), "region": machine["region"],
                "instance_id": "01", "config": machine["config"], "created_at": "2026-01-01T00:00:00Z"}

    def carry_out(self, op, found, body, rule):
        st = self.state
        if self.headers.get("Authorization") != "Bearer " + st.args.key:
            return self.fail(401, "authenticate: token validation error")
        if found is None or found[0] != st.args.app:
            return self.fail(404, "app not found", "unknown")
        with st.lock:
            if not st.args.no_limit and op != "get" and st.limited((op, found[1])):
                return self.fail(429, "rate limit exceeded")
            if op == "create":
                return self.create(json.loads(body), rule)
            if op == "list":
                want = {k[9:]: v for k, v in self.query.items() if k.startswith("metadata.")}
                return Answer(200, [self.shown(m) for m in list(st.machines.values())
                                    if all((m["config"].get("metadata") or {}).get(k) == v for k, v in want.items())])
            machine = st.machines.get(found[1])
            state = st.settle(machine) if machine else "destroyed"
            if state == "destroyed":
                return self.fail(404, "machine not found", "unknown")
            if rule.get("leased") and op != "get":
                return self.fail(409, "machine has an active lease", "unknown")
            if op == "get":
                return Answer(200, self.shown(machine))
            if op == "delete":
                st.put(machine, "destroying")
                return Answer(200, {"ok": True})
            if op in ("suspend", "stop"):
                if state != "started":
                    return self.fail(412, "machine is not started", "unknown")
                st.put(machine, "suspending" if op == "suspend" else "stopping")
                return Answer(200, {"ok": True})
            if op == "start":
                if state in MOVING:
                    return self.fail(412, "machine still active", "unknown")
                st.put(machine, "starting")
                return Answer(200, {"previous_state": state, "migrated": False, "new_host": ""})
        if op == "wait":
            return self.wait(machine)
        if op == "exec":
            if state != "started":
                return self.fail(412, "machine not running", "unknown")
            return self.execute(machine, json.loads(body))
        return self.fail(404, "no such path")

    def create(self, body, rule):
        st = self.state
        config = body.get("config") or {}
        if (config.get("guest") or {}).get("memory_mb", 256) % 256:
            return self.fail(422, "invalid config.guest.memory_mb")
        if rule.get("capacity"):
            return self.fail(409, "could not reserve resource for machine: insufficient memory available", "insufficient_capacity")
        if any(m["name"] == body.get("name") for m in st.machines.values()):
            return self.fail(409, "name is already taken", "name_taken")
        home = tempfile.mkdtemp(prefix="machine-", dir=st.args.dir)
        os.mkdir(home + "/tmp")
        machine = {"id": uuid.uuid4().hex[:14], "name": body.get("name") or "m", "region": body.get("region") or "ams",
                   "config": config, "home": home, "doomed": bool(rule.get("fail_start"))}
        st.put(machine, "created")
        st.machines[machine["id"]] = machine
        st.born(machine["id"], (config.get("metadata") or {}).get("theazo.id"))
        return Answer(200, self.shown(machine))

    def wait(self, machine):
        goal, seconds = self.query.get("state", "started"), int(self.query.get("timeout") or 60)
        if not 1 <= seconds <= 60:
            return self.fail(400, "invalid_argument: timeout must be between 1s and 60s")
        until = time.time() + seconds
        while time.time() < until:
            before = machine["state"]
            with self.state.lock:
                now = self.state.settle(machine)
            # it has been started, though it may have stopped since
            if now == goal or (goal == "started" and before in ("created", "starting") and now == "stopped"):
                return Answer(200, {"ok": True})
            time.sleep(0.02)
        return self.fail(408, "deadline exceeded waiting for state")

    def execute(self, machine, request):
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": machine["home"], "DOUBLE_HOME": machine["home"],
               "TMPDIR": machine["home"] + "/tmp", **(machine["config"].get("env") or {})}
        p = subprocess.Popen(request["command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             cwd=machine["home"], env=env, start_new_session=True)
        try:
            out, err = p.communicate((request.get("stdin") or "").encode(), timeout=request.get("timeout") or 60)
        except subprocess.TimeoutExpired:
            return self.fail(408, "deadline_exceeded: context deadline exceeded")
        doc = {"exit_code": p.returncode, "stdout": out.decode("utf-8", "replace"), "stderr": err.decode("utf-8", "replace")}
        return Answer(200, {k: v for k, v in doc.items() if v}, kind="application/octet-stream")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    parser.add_argument("--key", default="fly_test")
    parser.add_argument("--app", default="boxes")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--move-ms", type=int, default=100)
    parser.add_argument("--no-limit", action="store_true")
    double.run(Handler, State(parser.parse_args()))


if __name__ == "__main__":
    main()
