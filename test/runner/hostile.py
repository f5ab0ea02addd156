"""What a hostile program may say in place of theazo-runner, in the words of stub.c, and what must come of it."""


def head(length, kind, rid=0, flags=0, reserved=0):
    return (length.to_bytes(4, 'little') + bytes([kind, flags]) + reserved.to_bytes(2, 'little') + rid.to_bytes(4, 'little')).hex()


def whole(kind, payload, rid=0):
    return 'hex ' + head(len(payload), kind, rid) + payload.hex()


def call(rid, name=b'read_context', args=b'["x"]'):
    return whole(17, bytes([len(name)]) + name + args, rid)


LOG, DONE = 'frame 16 0 {"level":"info","msg":"x"}', 'frame 18 0 1'
HOSTILE = [
    ('good', [LOG, call(1), DONE], 'returned', None),
    ('length 0', ['hex ' + head(0, 16)], 'fault', 'text'),
    ('length 2^32-1', ['hex ' + head(2 ** 32 - 1, 16)], 'fault', 'broken frame'),
    ('length over the cap', ['hex ' + head(2 ** 20 + 1, 18)], 'fault', 'broken frame'),
    ('type 0', ['hex ' + head(0, 0)], 'fault', 'no kind'),
    ('type 255', ['hex ' + head(0, 255)], 'fault', 'no kind'),
    ('a type of the other way', ['frame 1 0 x'], 'fault', 'no kind'),
    ('a type of the zygote', ['frame 49 0 xxxxxxxxxxxxxxxxxxxxxxxx'], 'fault', 'no kind'),
    ('flags', ['hex ' + head(1, 18, flags=1) + '31'], 'fault', 'broken frame'),
    ('reserved bytes', ['hex ' + head(1, 18, reserved=256) + '31'], 'fault', 'broken frame'),
    ('two results', [DONE, DONE], 'fault', 'after the last'),
    ('a log after the result', [DONE, LOG], 'fault', 'after the last'),
    ('a call after the result', [DONE, call(1)], 'fault', 'after the last'),
    ('half a frame after the result', [DONE, 'hex 00'], 'fault', 'within a frame'),
    ('a call id twice', [call(1), call(1)], 'fault', 'out of order'),
    ('call ids backwards', [call(1), call(2), call(1)], 'fault', 'out of order'),
    ('call id 0', [call(0)], 'fault', 'out of order'),
    ('a call id left out', [call(2)], 'fault', 'out of order'),
    ('a huge call id', [call(2 ** 32 - 1)], 'fault', 'out of order'),
    ('a name of 255 bytes', [call(1, b'n' * 255)], 'fault', 'no function'),
    ('a name longer than its frame', [whole(17, b'\xff' + b'read', 1)], 'fault', 'without a name'),
    ('an empty call', [whole(17, b'', 1)], 'fault', 'without a name'),
    ('an empty name', [call(1, b'')], 'fault', 'no function'),
    ('a name of SQL', [call(1, b"x'; DROP TABLE a; --")], 'fault', 'no function'),
    ('a name with NUL', [call(1, b'read_context\0')], 'fault', 'no function'),
    ('log as a call', [call(1, b'log')], 'fault', 'no function'),
    ('arguments that are no JSON', [call(1, args=b'[x]')], 'fault', 'text'),
    ('arguments that are no array', [call(1, args=b'{"a":1}')], 'fault', 'without arguments'),
    ('no arguments', [call(1, args=b'')], 'fault', 'without arguments'),
    ('arguments with more behind', [call(1, args=b'[1] [2]')], 'fault', 'text'),
    ('arguments 10,000 deep', [call(1, args=b'[' * 10000 + b']' * 10000), DONE], 'returned', None),
    ('arguments that are not closed', [call(1, args=b'[' * 100)], 'fault', 'text'),
    ('invalid UTF-8 in arguments', [call(1, args=b'["\xff"]')], 'fault', 'text'),
    ('surrogates as three bytes', [call(1, args=b'["\xed\xa0\x80"]')], 'fault', 'text'),
    ('NUL in arguments', [call(1, args=b'["\0"]')], 'fault', 'text'),
    ('more calls open than allowed', ['times 65 17 1 \x0cread_context["never"]', DONE], 'fault', 'may be open'),
    ('invalid UTF-8 in a log', [whole(16, b'{"level":"info","msg":"\xc3"}')], 'fault', 'text'),
    ('a log that is no object', ['frame 16 0 [1]'], 'fault', 'another form'),
    ('a log without a text', ['frame 16 0 {"level":"info"}'], 'fault', 'another form'),
    ('a log with a number', ['frame 16 0 {"level":"info","msg":1}'], 'fault', 'another form'),
    ('a log with a level of its own', ['frame 16 0 {"level":"root","msg":"x"}'], 'fault', 'another form'),
    ('a log nested deeply', ['frame 16 0 {"level":"info","msg":"x","y":[[[[[[1]]]]]]}'], 'fault', 'text'),
    ('a log with an id', ['frame 16 7 {"level":"info","msg":"x"}'], 'fault', 'with a number'),
    ('a flood of logs', ['times 100000 16 0 {"level":"info","msg":"' + 'x' * 100 + '"}', DONE], 'fault', 'more logs'),
    ('a flood of zeros', ['fill 20000000 0'], 'fault', 'no kind'),
    ('a flood of ones', ['fill 20000000 255'], 'fault', 'broken frame'),
    ('a result that is no JSON', ['frame 18 0 nope'], 'fault', 'no JSON'),
    ('a result of two values', ['frame 18 0 1 2'], 'fault', 'no JSON'),
    ('a result no number has', ['frame 18 0 1e999999999'], 'fault', 'no JSON'),
    ('a result of many digits', ['frame 18 0 ' + '9' * 1000], 'fault', 'no JSON'),
    ('a result 10,000 deep', ['frame 18 0 ' + '[' * 10000 + ']' * 10000], 'threw', None),
    ('invalid UTF-8 in a result', [whole(18, b'"\xff"')], 'fault', 'no JSON'),
    ('a huge heap', ['frame 18 4294967295 1'], 'returned', None),
    ('an error that is no object', ['frame 19 0 1'], 'fault', 'text'),
    ('an error that is no JSON', ['frame 19 0 {'], 'fault', 'text'),
    ('an error with odd members', ['frame 19 0 {"name":1,"message":[],"stack":null}'], 'threw', None),
    ('an error that claims a limit', ['frame 19 0 {"name":"a","message":"b","stack":"","limit":"time"}'], 'time', None),
    ('an error that claims an unknown limit', ['frame 19 0 {"limit":"x"}'], 'fault', 'wall'),
    ('closes without a word', ['close'], 'fault', 'without a result'),
    ('closes within a header', ['hex 0000', 'close'], 'fault', 'within a frame'),
    ('closes within a frame', ['hex ' + head(100, 18) + '31', 'close'], 'fault', 'within a frame'),
    ('closes and stays', ['close', 'wait 300'], 'fault', 'without a result'),
    ('reported dead before it speaks', ['exited 0', 'wait 20', DONE], 'fault', 'without a result'),
    ('reported killed by the filter', ['exited 31'], 'fault', 'system call'),
    ('reported crashed', ['exited 139'], 'fault', 'crash'),
    ('reported over its processor time', ['exited 24'], 'time', None),
    ('reported twice', [DONE, 'exited 0', 'exited 0'], 'returned', None),
    ('one byte at a time', ['slow ' + head(1, 18) + '31'], 'returned', None),
]
