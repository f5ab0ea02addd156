"""A runner that cannot be trusted: it speaks the frames of theazo-runner, and does to its parent what the
code it is given names. Started with the channel as descriptor 3."""
import os
import select
import signal
import socket
import struct
import sys
import time

RUN, RET_OK, RET_ERR, LOG, CALL, DONE_OK, DONE_ERR = 1, 2, 3, 16, 17, 18, 19
SPAWN, LIMIT, KILL, HELLO, EXITED = 32, 33, 34, 48, 49
CAP = 1 << 20

channel = socket.socket(fileno=3)
children = {}  # id -> Child
early = 0


def frame(kind, payload=b'', ident=0, flags=0, reserved=0, length=None):
    return struct.pack('<IBBHI', len(payload) if length is None else length, kind, flags, reserved, ident) + payload


def call(ident, name=b'read_context', args=b'["k"]'):
    return frame(CALL, bytes([min(len(name), 255)]) + name + args, ident)


def exited(ident, status=0, cpu=1000, peak=1000):
    channel.send(frame(EXITED, struct.pack('<IIQQ', status, 0, cpu, peak), ident))


# What goes out once the work has come; None closes the socket, "exit" reports the end.
ACTS = {
    'ok': [frame(DONE_OK, b'{"n":1}', 5), None, 'exit'],
    'empty': [frame(LOG), None],
    'longest': [frame(LOG, length=0xffffffff)],
    'over': [frame(LOG, length=CAP + 1)],
    'unknown': [frame(99, b'{}')],
    'flags': [frame(DONE_OK, b'1', flags=1)],
    'reserved': [frame(DONE_OK, b'1', reserved=7)],
    'twice': [frame(DONE_OK, b'1') + frame(DONE_OK, b'2'), None],
    'same': [call(1), call(1)],
    'backwards': [call(2)],
    'zero': [call(0)],
    'name': [call(1, b'x' * 255)],
    'nobody': [call(1, b'drop_table')],
    'noname': [frame(CALL, b'', 1)],
    'text': [call(1, args=b'oops')],
    'object': [call(1, args=b'{"a":1}')],
    'deep': [call(1, args=b'[' * 10000 + b']' * 10000)],
    'utf8': [call(1, args=b'["\xff\xfe"]')],
    'log': [frame(LOG, b'{"level":"loud","msg":"x"}')],
    'badvalue': [frame(DONE_OK, b'{"a":'), None],
    'hugeid': [frame(DONE_OK, b'1', 0xffffffff), None, 'exit'],
    'within': [frame(LOG, b'{"level"', length=100), None, 'exit'],
    'sigsys': [None, 'sigsys'],
    'gone': [None, 'exit'],
    'flood': [frame(LOG, b'{"level":"info","msg":"' + b'x' * 4000 + b'"}')] * 3000,
    'mute': [],
    'lies': [frame(DONE_OK, b'1'), None, 'lies'],
}


class Child:
    def __init__(self, ident, sock):
        self.ident, self.sock, self.seen, self.out, self.over = ident, sock, b'', [], False
        sock.setblocking(False)

    def drip(self):
        """One byte a second, of a frame that would be good."""
        for byte in frame(DONE_OK, b'1'):
            time.sleep(1)
            try:
                self.sock.send(bytes([byte]))
            except OSError:
                return

    def work(self, mode):
        global early
        if mode == 'channel':
            channel.send(frame(77, b'nonsense'))
        elif mode == 'double':
            exited(self.ident)
            exited(self.ident)
        elif mode == 'die':
            os._exit(0)
        elif mode == 'early':
            early = 3
            self.out = list(ACTS['ok'])
        elif mode == 'slow':
            if os.fork() == 0:
                self.drip()
                os._exit(0)
        elif mode == 'deaf':
            self.out = [call(n, args=b'["' + b'x' * 1000 + b'"]') for n in range(1, 60)]
            self.deaf = True
        else:
            self.out = list(ACTS[mode])

    def read(self):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        if not data:
            self.close()
            return
        self.seen += data
        if len(self.seen) < 12:
            return
        length, kind = struct.unpack('<IB', self.seen[:5])
        if kind == RUN and len(self.seen) >= 12 + length:
            _, _, json, code = struct.unpack('<IIII', self.seen[12:28])
            mode = self.seen[28 + json:28 + json + code].decode()
            self.seen = self.seen[12 + length:]
            self.work(mode)

    def write(self):
        while self.out:
            act = self.out[0]
            if act is None:
                self.close()
            elif act == 'exit':
                self.end(0)
            elif act == 'lies':
                self.end(0, (1 << 62), (1 << 62))
            elif act == 'sigsys':
                self.end(signal.SIGSYS)
            else:
                try:
                    sent = self.sock.send(act)
                except BlockingIOError:
                    return
                except OSError:
                    self.out = []
                    return
                if sent < len(act):
                    self.out[0] = act[sent:]
                    return
            self.out.pop(0)

    def close(self):
        self.sock.close()
        self.over = True

    def end(self, status, cpu=1000, peak=1000):
        if not self.over:
            self.close()
        if children.pop(self.ident, None) is not None:
            exited(self.ident, status, cpu, peak)


def order():
    data, fds, _, _ = socket.recv_fds(channel, 300, 1)
    if not data:
        sys.exit(0)
    global early
    _, kind, _, _, ident = struct.unpack('<IBBHI', data[:12])
    if kind == SPAWN:
        child = children[ident] = Child(ident, socket.socket(fileno=fds[0]))
        if early > 0:
            early -= 1
            child.out = [frame(DONE_OK, b'1')]
    elif kind == KILL and ident in children:
        children[ident].end(signal.SIGKILL)


signal.signal(signal.SIGCHLD, signal.SIG_IGN)
channel.send(frame(HELLO, struct.pack('<II20s24s24s', 1, 3, b'', b'hostile', b'1')))
while True:
    live = [c for c in children.values() if not c.over]
    reading = [channel] + [c.sock for c in live if not getattr(c, 'deaf', False)]
    ready, room, _ = select.select(reading, [c.sock for c in live if c.out], [], 1)
    if channel in ready:
        order()
    for c in list(children.values()):
        if not c.over and c.sock in ready:
            c.read()
        if c.out and (c.over or c.sock in room):
            c.write()
