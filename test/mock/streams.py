#!/usr/bin/env python3
"""A model that never ends: every POST is answered as a Chat Completions stream, a piece every GAP ms, until the caller goes.

GET answers {"begun": streams so far, "open": those that are open}. Standard library only, one process, no threads. Prints its
port on the first line of stdout.
"""

import asyncio
import json
import sys

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
GAP_S = float(sys.argv[1]) / 1000 if len(sys.argv) > 1 else 0.05

begun = 0
streams = set()


class Conversation(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.data = b""

    def data_received(self, data):
        global begun
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):
            answer = json.dumps({"begun": begun, "open": len(streams)}).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(answer), answer))
            self.transport.close()
            return
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        if len(body) < length or self in streams:
            return
        begun += 1
        streams.add(self)
        self.transport.write(HEAD)

    def connection_lost(self, error):
        streams.discard(self)


async def main():
    server = await asyncio.get_running_loop().create_server(Conversation, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    chunk = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
    while True:
        await asyncio.sleep(GAP_S)
        for stream in list(streams):
            stream.transport.write(chunk)


asyncio.run(main())
