/* Written by test/run/embed.py from src/client. Do not edit. */
/* clang-format off */
#define CLIENT_PYTHON \
	"\042\042\042What a program in a theazo sandbox says of itself: logs, spans, progress, its result.\n" \
	"\n" \
	"Records go out with the program's errors, framed so that the control plane takes them out\n" \
	"again. Outside of a sandbox nothing is written.\n" \
	"\042\042\042\n" \
	"import json\n" \
	"import os\n" \
	"import threading\n" \
	"import time\n" \
	"\n" \
	"__all__ = [\042log\042, \042span\042, \042progress\042, \042complete\042, \042track_model\042]\n" \
	"\n" \
	"_nonce = os.environ.get(\042THEAZO_RECORDS\042, \042\042)\n" \
	"_lock = threading.RLock()\n" \
	"_pid = None\n" \
	"_name = \042\042\n" \
	"_count = 0\n" \
	"\n" \
	"\n" \
	"def _ascii(text):\n" \
	"    out = []\n" \
	"    for c in text.encode(\042utf-8\042, \042replace\042).decode(\042utf-8\042):\n" \
	"        n = ord(c)\n" \
	"        if 32 <= n <= 126:\n" \
	"            out.append(c)\n" \
	"        elif n > 0xFFFF:\n" \
	"            n -= 0x10000\n" \
	"            out.append(\042\134\134u%04x\134\134u%04x\042 % (0xD800 + (n >> 10), 0xDC00 + (n & 0x3FF)))\n" \
	"        else:\n" \
	"            out.append(\042\134\134u%04x\042 % n)\n" \
	"    return \042\042.join(out).replace(\042\134\134u0000\042, \042\134\134ufffd\042)\n" \
	"\n" \
	"\n" \
	"def _send(kind, record):\n" \
	"    global _pid, _name, _count\n" \
	"    if not _nonce:\n" \
	"        return\n" \
	"    record = dict((k, v) for k, v in record.items() if v is not None)\n" \
	"    record[\042t\042] = kind\n" \
	"    try:\n" \
	"        text = json.dumps(record, ensure_ascii=False, allow_nan=False, default=str)\n" \
	"    except (TypeError, ValueError):\n" \
	"        text = json.dumps({\042t\042: kind, \042message\042: \042no JSON: \042 + repr(record)[:1000], \042output\042: repr(record)[:1000]})\n" \
	"    text = _ascii(text)\n" \
	"    if len(text) > 65536:\n" \
	"        raise ValueError(\042too large for the control plane (64 KiB): write it to a file, and name that as an artifact\042)\n" \
	"    with _lock:\n" \
	"        if _pid != os.getpid():\n" \
	"            _pid, _name, _count = os.getpid(), os.urandom(4).hex(), 0\n" \
	"        at = 0\n" \
	"        while True:\n" \
	"            piece = text[at:at + 4000]\n" \
	"            at += 4000\n" \
	"            _count += 1\n" \
	"            frame = \042\134x1etheazo1 %s %s %d %s%s\134n\042 % (_nonce, _name, _count, \042+\042 if at < len(text) else \042.\042, piece)\n" \
	"            rest = frame.encode(\042ascii\042)\n" \
	"            while rest:\n" \
	"                try:\n" \
	"                    rest = rest[os.write(2, rest):]\n" \
	"                except BlockingIOError:\n" \
	"                    time.sleep(0.001)\n" \
	"                except OSError:\n" \
	"                    return\n" \
	"            if at >= len(text):\n" \
	"                return\n" \
	"\n" \
	"\n" \
	"def _now():\n" \
	"    return int(time.time() * 1000)\n" \
	"\n" \
	"\n" \
	"def log(message, level=\042info\042, metadata=None):\n" \
	"    \042\042\042One log line. Levels: debug, info, warn, error.\042\042\042\n" \
	"    level = {\042warning\042: \042warn\042, \042critical\042: \042error\042}.get(level, level)\n" \
	"    _send(\042log\042, {\042level\042: level, \042message\042: str(message)[:8192], \042metadata\042: metadata, \042at\042: _now()})\n" \
	"\n" \
	"\n" \
	"class span(object):\n" \
	"    \042\042\042A span of the trace, as a context manager: with span(\042fetch\042): ...\042\042\042\n" \
	"\n" \
	"    def __init__(self, name, attributes=None):\n" \
	"        self.name = str(name)\n" \
	"        self.attributes = attributes\n" \
	"\n" \
	"    def __enter__(self):\n" \
	"        self.start = _now()\n" \
	"        return self\n" \
	"\n" \
	"    def __exit__(self, kind, error, trace):\n" \
	"        _send(\042span\042, {\042name\042: self.name[:200], \042start\042: self.start, \042end\042: max(self.start, _now()),\n" \
	"                       \042status\042: \042completed\042 if kind is None else \042failed\042,\n" \
	"                       \042error\042: None if kind is None else (\042%s: %s\042 % (kind.__name__, error))[:1000],\n" \
	"                       \042attributes\042: self.attributes})\n" \
	"        return False\n" \
	"\n" \
	"\n" \
	"def progress(percentage=None, message=\042\042):\n" \
	"    \042\042\042How far the program is, from 0 to 100.\042\042\042\n" \
	"    _send(\042progress\042, {\042percentage\042: percentage, \042message\042: str(message)[:1000], \042at\042: _now()})\n" \
	"\n" \
	"\n" \
	"def complete(output=None, artifacts=None):\n" \
	"    \042\042\042Hands over the result: any JSON value, and the paths of files that belong to it. The last call counts.\042\042\042\n" \
	"    _send(\042complete\042, {\042output\042: output, \042artifacts\042: artifacts})\n" \
	"\n" \
	"\n" \
	"def track_model(model, input_tokens=0, output_tokens=0, cost=None):\n" \
	"    \042\042\042A call of a model that the program made by itself. It is shown, never billed.\042\042\042\n" \
	"    _send(\042model\042, {\042model\042: str(model)[:200], \042inputTokens\042: input_tokens, \042outputTokens\042: output_tokens,\n" \
	"                    \042cost\042: cost, \042at\042: _now()})\n"
#define CLIENT_NODE \
	"// What a program in a theazo sandbox says of itself: logs, spans, progress, its result.\n" \
	"//\n" \
	"// Records go out with the program's errors, framed so that the control plane takes them out\n" \
	"// again. Outside of a sandbox nothing is written.\n" \
	"'use strict';\n" \
	"const fs = require('fs');\n" \
	"const crypto = require('crypto');\n" \
	"\n" \
	"const nonce = process.env.THEAZO_RECORDS || '';\n" \
	"const name = crypto.randomBytes(4).toString('hex');\n" \
	"let count = 0;\n" \
	"\n" \
	"function write(frame) {\n" \
	"  let rest = Buffer.from(frame, 'latin1');\n" \
	"  while (rest.length > 0) {\n" \
	"    try {\n" \
	"      rest = rest.subarray(fs.writeSync(2, rest));\n" \
	"    } catch (e) {\n" \
	"      if (e.code !== 'EAGAIN') return;\n" \
	"      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);\n" \
	"    }\n" \
	"  }\n" \
	"}\n" \
	"\n" \
	"function send(kind, record) {\n" \
	"  if (!nonce) return;\n" \
	"  const text = JSON.stringify({ ...record, t: kind })\n" \
	"    .replace(/[^ -~]/g, (c) => '\134\134u' + c.charCodeAt(0).toString(16).padStart(4, '0'))\n" \
	"    .replace(/\134\134u0000/g, '\134\134ufffd');\n" \
	"  if (text.length > 65536)\n" \
	"    throw new RangeError('too large for the control plane (64 KiB): write it to a file, and name that as an artifact');\n" \
	"  for (let at = 0; at < text.length; at += 4000)\n" \
	"    write('\134x1etheazo1 ' + nonce + ' ' + name + ' ' + ++count + ' ' + (at + 4000 < text.length \077 '+' : '.')\n" \
	"      + text.slice(at, at + 4000) + '\134n');\n" \
	"}\n" \
	"\n" \
	"const cut = (text, most) => Array.from(String(text)).slice(0, most).join('');\n" \
	"\n" \
	"// One log line: log('text'), log('text', 'warn', { \342\200\246 }), log.error('text', { \342\200\246 }).\n" \
	"function log(message, level, metadata) {\n" \
	"  send('log', { level: level || 'info', message: cut(message, 8192), metadata: metadata || undefined, at: Date.now() });\n" \
	"}\n" \
	"log.debug = (message, metadata) => log(message, 'debug', metadata);\n" \
	"log.info = (message, metadata) => log(message, 'info', metadata);\n" \
	"log.warn = (message, metadata) => log(message, 'warn', metadata);\n" \
	"log.error = (message, metadata) => log(message, 'error', metadata);\n" \
	"\n" \
	"// A span of the trace around a function, which may be async: await span('fetch', async () => \342\200\246).\n" \
	"function span(title, work, attributes) {\n" \
	"  const start = Date.now();\n" \
	"  const end = (failed, error) => send('span', {\n" \
	"    name: cut(title, 200), start, end: Math.max(start, Date.now()), status: failed \077 'failed' : 'completed',\n" \
	"    error: failed \077 cut(error, 1000) : undefined, attributes: attributes || undefined,\n" \
	"  });\n" \
	"  let result;\n" \
	"  try {\n" \
	"    result = work();\n" \
	"  } catch (e) {\n" \
	"    end(true, e);\n" \
	"    throw e;\n" \
	"  }\n" \
	"  if (result && typeof result.then === 'function')\n" \
	"    return result.then((v) => { end(false); return v; }, (e) => { end(true, e); throw e; });\n" \
	"  end(false);\n" \
	"  return result;\n" \
	"}\n" \
	"\n" \
	"// How far the program is, from 0 to 100.\n" \
	"function progress(percentage, message) {\n" \
	"  send('progress', { percentage, message: cut(message === undefined \077 '' : message, 1000), at: Date.now() });\n" \
	"}\n" \
	"\n" \
	"// Hands over the result: complete({ output, artifacts }), or any other value as the output. The last call counts.\n" \
	"function complete(result) {\n" \
	"  const named = result !== null && typeof result === 'object' && !Array.isArray(result)\n" \
	"    && ('output' in result || 'artifacts' in result)\n" \
	"    && Object.keys(result).every((k) => k === 'output' || k === 'artifacts');\n" \
	"  send('complete', named \077 { output: result.output, artifacts: result.artifacts } : { output: result });\n" \
	"}\n" \
	"\n" \
	"// A call of a model that the program made by itself: { model, inputTokens, outputTokens, cost }. It is shown, never billed.\n" \
	"function trackModel(call) {\n" \
	"  send('model', { model: cut(call.model, 200), inputTokens: call.inputTokens, outputTokens: call.outputTokens, cost: call.cost, at: Date.now() });\n" \
	"}\n" \
	"\n" \
	"exports.log = log;\n" \
	"exports.span = span;\n" \
	"exports.progress = progress;\n" \
	"exports.complete = complete;\n" \
	"exports.trackModel = trackModel;\n"
/* clang-format on */
