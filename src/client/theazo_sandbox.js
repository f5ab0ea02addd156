// What a program in a theazo sandbox says of itself: logs, spans, progress, its result.
//
// Records go out with the program's errors, framed so that the control plane takes them out
// again. Outside of a sandbox nothing is written.
'use strict';
const fs = require('fs');
const crypto = require('crypto');

const nonce = process.env.THEAZO_RECORDS || '';
const name = crypto.randomBytes(4).toString('hex');
let count = 0;

function write(frame) {
  let rest = Buffer.from(frame, 'latin1');
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(2, rest));
    } catch (e) {
      if (e.code !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function send(kind, record) {
  if (!nonce) return;
  const text = JSON.stringify({ ...record, t: kind })
    .replace(/[^ -~]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'))
    .replace(/\\u0000/g, '\\ufffd');
  if (text.length > 65536)
    throw new RangeError('too large for the control plane (64 KiB): write it to a file, and name that as an artifact');
  for (let at = 0; at < text.length; at += 4000)
    write('\x1etheazo1 ' + nonce + ' ' + name + ' ' + ++count + ' ' + (at + 4000 < text.length ? '+' : '.')
      + text.slice(at, at + 4000) + '\n');
}

const cut = (text, most) => Array.from(String(text)).slice(0, most).join('');

// One log line: log('text'), log('text', 'warn', { … }), log.error('text', { … }).
function log(message, level, metadata) {
  send('log', { level: level || 'info', message: cut(message, 8192), metadata: metadata || undefined, at: Date.now() });
}
log.debug = (message, metadata) => log(message, 'debug', metadata);
log.info = (message, metadata) => log(message, 'info', metadata);
log.warn = (message, metadata) => log(message, 'warn', metadata);
log.error = (message, metadata) => log(message, 'error', metadata);

// A span of the trace around a function, which may be async: await span('fetch', async () => …).
function span(title, work, attributes) {
  const start = Date.now();
  const end = (failed, error) => send('span', {
    name: cut(title, 200), start, end: Math.max(start, Date.now()), status: failed ? 'failed' : 'completed',
    error: failed ? cut(error, 1000) : undefined, attributes: attributes || undefined,
  });
  let result;
  try {
    result = work();
  } catch (e) {
    end(true, e);
    throw e;
  }
  if (result && typeof result.then === 'function')
    return result.then((v) => { end(false); return v; }, (e) => { end(true, e); throw e; });
  end(false);
  return result;
}

// How far the program is, from 0 to 100.
function progress(percentage, message) {
  send('progress', { percentage, message: cut(message === undefined ? '' : message, 1000), at: Date.now() });
}

// Hands over the result: complete({ output, artifacts }), or any other value as the output. The last call counts.
function complete(result) {
  const named = result !== null && typeof result === 'object' && !Array.isArray(result)
    && ('output' in result || 'artifacts' in result)
    && Object.keys(result).every((k) => k === 'output' || k === 'artifacts');
  send('complete', named ? { output: result.output, artifacts: result.artifacts } : { output: result });
}

// A call of a model that the program made by itself: { model, inputTokens, outputTokens, cost }. It is shown, never billed.
function trackModel(call) {
  send('model', { model: cut(call.model, 200), inputTokens: call.inputTokens, outputTokens: call.outputTokens, cost: call.cost, at: Date.now() });
}

exports.log = log;
exports.span = span;
exports.progress = progress;
exports.complete = complete;
exports.trackModel = trackModel;
