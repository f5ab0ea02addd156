"""What a program in a theazo sandbox says of itself: logs, spans, progress, its result.

Records go out with the program's errors, framed so that the control plane takes them out
again. Outside of a sandbox nothing is written.
"""
import json
import os
import threading
import time

__all__ = ["log", "span", "progress", "complete", "track_model"]

_nonce = os.environ.get("THEAZO_RECORDS", "")
_lock = threading.RLock()
_pid = None
_name = ""
_count = 0


def _ascii(text):
    out = []
    for c in text.encode("utf-8", "replace").decode("utf-8"):
        n = ord(c)
        if 32 <= n <= 126:
            out.append(c)
        elif n > 0xFFFF:
            n -= 0x10000
            out.append("\\u%04x\\u%04x" % (0xD800 + (n >> 10), 0xDC00 + (n & 0x3FF)))
        else:
            out.append("\\u%04x" % n)
    return "".join(out).replace("\\u0000", "\\ufffd")


def _send(kind, record):
    global _pid, _name, _count
    if not _nonce:
        return
    record = dict((k, v) for k, v in record.items() if v is not None)
    record["t"] = kind
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, default=str)
    except (TypeError, ValueError):
        text = json.dumps({"t": kind, "message": "no JSON: " + repr(record)[:1000], "output": repr(record)[:1000]})
    text = _ascii(text)
    if len(text) > 65536:
        raise ValueError("too large for the control plane (64 KiB): write it to a file, and name that as an artifact")
    with _lock:
        if _pid != os.getpid():
            _pid, _name, _count = os.getpid(), os.urandom(4).hex(), 0
        at = 0
        while True:
            piece = text[at:at + 4000]
            at += 4000
            _count += 1
            frame = "\x1etheazo1 %s %s %d %s%s\n" % (_nonce, _name, _count, "+" if at < len(text) else ".", piece)
            rest = frame.encode("ascii")
            while rest:
                try:
                    rest = rest[os.write(2, rest):]
                except BlockingIOError:
                    time.sleep(0.001)
                except OSError:
                    return
            if at >= len(text):
                return


def _now():
    return int(time.time() * 1000)


def log(message, level="info", metadata=None):
    """One log line. Levels: debug, info, warn, error."""
    level = {"warning": "warn", "critical": "error"}.get(level, level)
    _send("log", {"level": level, "message": str(message)[:8192], "metadata": metadata, "at": _now()})


class span(object):
    """A span of the trace, as a context manager: with span("fetch"): ..."""

    def __init__(self, name, attributes=None):
        self.name = str(name)
        self.attributes = attributes

    def __enter__(self):
        self.start = _now()
        return self

    def __exit__(self, kind, error, trace):
        _send("span", {"name": self.name[:200], "start": self.start, "end": max(self.start, _now()),
                       "status": "completed" if kind is None else "failed",
                       "error": None if kind is None else ("%s: %s" % (kind.__name__, error))[:1000],
                       "attributes": self.attributes})
        return False


def progress(percentage=None, message=""):
    """How far the program is, from 0 to 100."""
    _send("progress", {"percentage": percentage, "message": str(message)[:1000], "at": _now()})


def complete(output=None, artifacts=None):
    """Hands over the result: any JSON value, and the paths of files that belong to it. The last call counts."""
    _send("complete", {"output": output, "artifacts": artifacts})


def track_model(model, input_tokens=0, output_tokens=0, cost=None):
    """A call of a model that the program made by itself. It is shown, never billed."""
    _send("model", {"model": str(model)[:200], "inputTokens": input_tokens, "outputTokens": output_tokens,
                    "cost": cost, "at": _now()})
