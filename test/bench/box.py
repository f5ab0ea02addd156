"""What an engine of containers takes without us: box.py SOCKET IMAGE exec|life N prints one time in ms a line."""
import http.client
import json
import socket
import sys
import time

path, image, what, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


class Engine(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)


engine = Engine("localhost")


def ask(method, at, body=None):
    engine.request(method, "/v1.41" + at, json.dumps(body) if body is not None else None,
                   {"Content-Type": "application/json"})
    answer = engine.getresponse()
    text = answer.read()
    if answer.status >= 400:
        raise SystemExit("%s %s: %d %r" % (method, at, answer.status, text))
    return json.loads(text) if text[:1] in (b"{", b"[") else None


def make(name):
    box = ask("POST", "/containers/create?name=" + name, {
        "Image": image, "Entrypoint": ["/bin/sh", "-c", "sleep 600"], "Cmd": [], "User": "65534:65534",
        "HostConfig": {"NetworkMode": "none", "Memory": 128 << 20, "MemorySwap": 128 << 20, "PidsLimit": 256,
                       "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"],
                       "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 1024},
                                   {"Name": "nproc", "Soft": 4096, "Hard": 4096}]}})["Id"]
    ask("POST", "/containers/%s/start" % box)
    return box


def run(box):
    made = ask("POST", "/containers/%s/exec" % box, {
        "AttachStdout": True, "AttachStderr": True, "Cmd": ["/bin/sh", "-c", "sh -c true"]})["Id"]
    ask("POST", "/exec/%s/start" % made, {"Detach": False, "Tty": False})
    assert ask("GET", "/exec/%s/json" % made)["ExitCode"] == 0


def remove(box):
    ask("DELETE", "/containers/%s?force=1&v=1" % box)


def timed(work):
    begun = time.monotonic()
    work()
    print("%.3f" % ((time.monotonic() - begun) * 1000))


def life():
    box = make("bench-%d" % time.monotonic_ns())
    run(box)
    remove(box)


if what == "exec":
    held = make("bench-exec-%d" % time.monotonic_ns())
    for _ in range(count):
        timed(lambda: run(held))
    remove(held)
else:
    for _ in range(count):
        timed(life)
