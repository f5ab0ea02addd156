// The vendors' own clients against the scripted model server: what they cannot read, our
// adapters must not be judged by. Prints TAP lines; ends with 1 if any is not ok.
//
//	node check.mjs [PYTHON]

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const here = path.dirname(fileURLToPath(import.meta.url));
const KEY = 'sk-test-0123456789';
const server = spawn(process.argv[2] || 'python3', [path.join(here, '..', 'model_server.py'), '--key', KEY],
  { stdio: ['ignore', 'pipe', 'inherit'] });
const port = String(await once(server.stdout, 'data').then(([d]) => d)).trim();
const base = `http://127.0.0.1:${port}`;
const anthropic = new Anthropic({ apiKey: KEY, baseURL: base, maxRetries: 0 });
const openai = new OpenAI({ apiKey: KEY, baseURL: base + '/v1', maxRetries: 0 });

let number = 0;
let failed = 0;
let answered = 0; // calls whose answer a client has taken whole

const same = (a, b, what = '') => {
  const x = JSON.stringify(a), y = JSON.stringify(b);
  if (x !== y) throw new Error(`${what} is ${x}, not ${y}`);
};
const truth = (v, what) => { if (!v) throw new Error(what); };
const control = (doc) => fetch(base + '/_control', { method: 'POST', body: JSON.stringify(doc) }).then((r) => r.json());
const status = () => fetch(base + '/_control').then((r) => r.json());

async function test(name, rule, run) {
  number++;
  try {
    await control({ rules: Array.isArray(rule) ? rule : [rule] });
    await run();
    console.log(`ok ${number} - ${name}`);
  } catch (e) {
    failed++;
    console.log(`not ok ${number} - ${name}\n    ${String(e && e.stack || e).split('\n').slice(0, 4).join('\n    ')}`);
  }
}

async function fails(run, check) {
  let error;
  try { await run(); } catch (e) { error = e; }
  truth(error, 'it did not fail');
  truth(check(error), `it failed otherwise: ${error.constructor.name} ${error.status} ${error.message}`);
  return error;
}

// ---- one way to ask for each protocol and client face: text, tools [[name, input]], usage ----

const TOOLS = ['lookup', 'b'];
const schema = { type: 'object', properties: { q: { type: 'string' } } };
const fromMessages = (m) => ({
  text: m.content.filter((b) => b.type === 'text').map((b) => b.text).join(''),
  tools: m.content.filter((b) => b.type === 'tool_use').map((b) => [b.name, b.input]),
  usage: [m.usage.input_tokens, m.usage.output_tokens], stop: m.stop_reason, raw: m,
});
const fromChat = (c) => ({
  text: c.choices[0].message.content || '',
  tools: (c.choices[0].message.tool_calls || []).map((t) => [t.function.name, JSON.parse(t.function.arguments)]),
  usage: c.usage && [c.usage.prompt_tokens, c.usage.completion_tokens], stop: c.choices[0].finish_reason, raw: c,
});
const fromResponses = (r) => ({
  text: r.output_text ?? r.output.filter((o) => o.type === 'message').flatMap((o) => o.content).map((p) => p.text || '').join(''),
  tools: r.output.filter((o) => o.type === 'function_call').map((o) => [o.name, JSON.parse(o.arguments)]),
  usage: [r.usage.input_tokens, r.usage.output_tokens], stop: r.incomplete_details?.reason ?? r.status, raw: r,
});

const messagesBody = (messages, more = {}) => ({ model: 'm', max_tokens: 100, messages,
  tools: TOOLS.map((name) => ({ name, input_schema: schema })), ...more });
const chatBody = (messages, more = {}) => ({ model: 'm', messages,
  tools: TOOLS.map((name) => ({ type: 'function', function: { name, parameters: schema } })), ...more });
const responsesBody = (input, more = {}) => ({ model: 'm', input, store: false,
  tools: TOOLS.map((name) => ({ type: 'function', name, parameters: schema, strict: false })), ...more });

const count = (r) => { answered++; return r; };
const faces = {
  messages: async (list, client = anthropic) => count(fromMessages(await client.messages.create(messagesBody(list)))),
  'messages streamed': async (list, client = anthropic) =>
    count(fromMessages(await client.messages.stream(messagesBody(list)).finalMessage())),
  chat: async (list, client = openai) => count(fromChat(await client.chat.completions.create(chatBody(list)))),
  'chat streamed': async (list, client = openai) => count(fromChat(await client.chat.completions
    .stream(chatBody(list, { stream_options: { include_usage: true } })).finalChatCompletion())),
  responses: async (list, client = openai) => count(fromResponses(await client.responses.create(responsesBody(list)))),
  'responses streamed': async (list, client = openai) =>
    count(fromResponses(await client.responses.stream(responsesBody(list)).finalResponse())),
};
const streamed = Object.keys(faces).filter((f) => f.endsWith('streamed'));
const user = (text = 'hi') => [{ role: 'user', content: text }];
const clientOf = (face) => (face.startsWith('messages') ? Anthropic : OpenAI);

// What the next request brings: the answer as it came, and the results of its tools.
function go(face, list, result, more) {
  const raw = result.raw;
  if (face.startsWith('messages'))
    return [...list, { role: 'assistant', content: raw.content }, { role: 'user', content: [
      ...raw.content.filter((b) => b.type === 'tool_use').map((b) => ({ type: 'tool_result', tool_use_id: b.id, content: more }))] }];
  if (face.startsWith('chat'))
    return [...list, raw.choices[0].message,
      ...raw.choices[0].message.tool_calls.map((t) => ({ role: 'tool', tool_call_id: t.id, content: more }))];
  return [...list, ...raw.output,
    ...raw.output.filter((o) => o.type === 'function_call').map((o) => ({ type: 'function_call_output', call_id: o.call_id, output: more }))];
}

const HARD = 'Grüße, \u20ac \ud83d\ude00 "\\\n\t\u0001';
const TWO = { text: HARD, piece: 5, tools: [{ name: 'lookup', arguments: { q: 'é\u20ac\n"\\', n: [1, 2.5] } }, { name: 'b', arguments: {} }] };
const wanted = [['lookup', { q: 'é\u20ac\n"\\', n: [1, 2.5] }], ['b', {}]];
const checkTwo = (r) => { same(r.text, HARD, 'text'); same(r.tools, wanted, 'tools'); truth(r.usage[0] > 0 && r.usage[1] > 0, 'usage'); };

for (const face of Object.keys(faces)) {
  await test(`${face}: text`, { answer: { text: HARD, usage: { input: 11, output: 7 } } }, async () => {
    const r = await faces[face](user());
    same(r.text, HARD, 'text');
    same(r.usage, [11, 7], 'usage');
    truth(['end_turn', 'stop', 'completed'].includes(r.stop), r.stop);
  });
  await test(`${face}: two tools`, { answer: TWO }, async () => checkTwo(await faces[face](user())));
  await test(`${face}: reasoning`, { answer: { ...TWO, reasoning: 'I think so' } }, async () => checkTwo(await faces[face](user())));
  await test(`${face}: cut by its limit`, { answer: { text: 'half', stop: 'max_tokens' } }, async () => {
    const r = await faces[face](user());
    truth(['max_tokens', 'length', 'max_output_tokens'].includes(r.stop), r.stop);
  });
  await test(`${face}: refusal`, { answer: { stop: 'refusal', refusal: { category: 'bio', explanation: 'not that' } } }, async () => {
    const { raw } = await faces[face](user());
    truth(JSON.stringify(raw).includes('not that'), 'no explanation');
  });
  await test(`${face}: gzip`, { gzip: true, answer: TWO }, async () => checkTwo(await faces[face](user())));
  for (const [fault, code] of [['rate_seconds', 429], ['rate_date', 429], ['rate_ms', 429], ['rate_none', 429], ['quota', 429], ['overloaded', 529],
    ['busy', 503], ['error', 500], ['key', 401], ['model', 404], ['too_long', 400], ['html', 502]])
    await test(`${face}: ${fault}`, { fault }, async () => {
      const e = await fails(() => faces[face](user()), (x) => x.status === code);
      if (fault !== 'html') truth(e.message.includes('the double was told to fail'), e.message);
    });
  await test(`${face}: asked again as told`, { fault: 'rate_ms', times: 1 }, async () => {
    const client = new (clientOf(face))({ apiKey: KEY, baseURL: face.startsWith('messages') ? base : base + '/v1', maxRetries: 2 });
    const before = Date.now();
    await faces[face](user(), client);
    truth(Date.now() - before >= 290, 'did not wait');
  });
  await test(`${face}: told not to ask again`, { fault: 'rate_no_retry' }, async () => {
    const client = new (clientOf(face))({ apiKey: KEY, baseURL: face.startsWith('messages') ? base : base + '/v1', maxRetries: 2 });
    const before = (await status()).counts.requests;
    await fails(() => faces[face](user(), client), (e) => e.status === 429);
    same((await status()).counts.requests - before, 1, 'requests');
  });
  await test(`${face}: wrong key`, {}, async () => {
    const client = new (clientOf(face))({ apiKey: 'wrong', baseURL: face.startsWith('messages') ? base : base + '/v1', maxRetries: 0 });
    await fails(() => faces[face](user(), client), (e) => e.status === 401);
  });
  await test(`${face}: five rounds of tools, then the end`, { turns: [TWO, TWO, { ...TWO, reasoning: 'hm' }, TWO, TWO, { text: 'done' }] }, async () => {
    let list = user(`work [conv:${face.replace(' ', '-')}]`);
    for (let i = 0; i < 5; i++) {
      const r = await faces[face](list);
      same(r.tools, wanted, 'tools');
      if (i === 3) { // the same question again, as after a lost answer
        const again = await faces[face](list);
        same(again.tools, wanted, 'tools');
      }
      list = go(face, list, r, `result ${i}`);
    }
    const before = JSON.parse(JSON.stringify(list));
    same((await faces[face](list)).text, 'done', 'text');
    // one byte of an old result, of an old argument, of the first message
    for (const [from, to] of [['result 2', 'result 7'], ['\u20ac', '\u20ad'], ['work', 'wörk']]) {
      const bent = JSON.parse(JSON.stringify(before).replace(from, to));
      await fails(() => faces[face](bent), (e) => e.status === 400 && e.message.includes('history differs'));
    }
    // a tool that is not answered
    const short = before.slice(0, -1);
    await fails(() => faces[face](short), (e) => e.status === 400);
  });
}

for (const face of streamed) {
  for (const eol of ['lf', 'crlf', 'cr'])
    await test(`${face}: lines end in ${eol}, byte by byte`, { eol, split: 1, answer: TWO }, async () => checkTwo(await faces[face](user())));
  await test(`${face}: cut in two at every seventh place`, {}, async () => {
    for (let at = 1; at < 3500; at += 7) {
      await control({ rules: [{ split_at: at, split_ms: 1, answer: { ...TWO, text: HARD + at } }] });
      const r = await faces[face](user());
      same(r.text, HARD + at, `text, cut at ${at}`);
      same(r.tools, wanted, `tools, cut at ${at}`);
    }
  });
  await test(`${face}: comments and a byte order mark`, { comments: 1, bom: true, answer: TWO }, async () => checkTwo(await faces[face](user())));
  await test(`${face}: slow drip`, { gap_ms: 5, delay_ms: 100, answer: TWO }, async () => checkTwo(await faces[face](user())));
  for (const n of [1, 6])
    await test(`${face}: an error after ${n} events`, { error_after: n, answer: TWO }, async () => {
      await fails(() => faces[face](user()), (e) => /broke off|overloaded|server_error/.test(e.message));
    });
  await test(`${face}: connection lost in the middle`, { cut_after: 5, close: 'reset', answer: TWO }, async () => {
    await fails(() => faces[face](user()), () => true);
  });
  // the client of Responses does not notice, but what it then has is not finished
  await test(`${face}: cut cleanly without an end mark`, { cut_after: 5, answer: TWO }, async () => {
    await fails(() => faces[face](user()), () => true);
  });
}

// Dialects as the vendor's client of the protocol reads them.
for (const dialect of ['azure', 'openrouter', 'vllm', 'ollama', 'litellm', 'deepseek', 'stop_with_tools'])
  for (const face of ['chat', 'chat streamed']) {
    await test(`${face}, ${dialect}: two tools`, { dialect, answer: { ...TWO, reasoning: 'hm' } }, async () => {
      const r = await faces[face](user());
      same(r.text, HARD, 'text');
      same(r.tools, wanted, 'tools');
    });
    await test(`${face}, ${dialect}: refused`, { dialect, fault: 'error' }, async () => {
      await fails(() => faces[face](user()), (e) => e.status === 500);
    });
  }
for (const dialect of ['openrouter', 'vllm'])
  await test(`chat streamed, ${dialect}: an error after four events`, { dialect, error_after: 4, answer: TWO }, async () => {
    await fails(() => faces['chat streamed'](user()), (e) => /broke off/.test(e.message));
  });

await test('messages: a prompt that is kept is read the next time', { answer: { text: 'so' } }, async () => {
  const cache_control = { type: 'ephemeral', ttl: '5m' };
  const ask = async (list) => { answered++; return (await anthropic.messages.create(messagesBody(list, { cache_control }))).usage; };
  const first = [{ role: 'user', content: '[conv:kept] hi' }];
  const one = await ask(first);
  truth(one.cache_creation_input_tokens > 0 && one.cache_read_input_tokens === 0, 'nothing was written');
  const two = await ask([...first, { role: 'assistant', content: [{ type: 'text', text: 'so' }] }, { role: 'user', content: 'more' }]);
  same(two.cache_read_input_tokens, one.cache_creation_input_tokens, 'read');
  truth(two.cache_creation.ephemeral_5m_input_tokens > 0, 'nothing more was written');
  await fails(() => anthropic.messages.create(messagesBody(user(), { cache_control: { type: 'forever' } })), (e) => e.status === 400);
});
await test('prompt_cache_key is taken', { answer: { text: 'so' } }, async () => {
  await openai.chat.completions.create(chatBody(user(), { prompt_cache_key: 'k' }));
  await openai.responses.create(responsesBody(user(), { prompt_cache_key: 'k' }));
  answered += 2;
});

await test('a redirect comes as one', { fault: 'redirect', location: 'http://127.0.0.1:1/v1/chat/completions' }, async () => {
  const r = await fetch(base + '/v1/chat/completions', { method: 'POST', redirect: 'manual', headers: { authorization: 'Bearer ' + KEY },
    body: JSON.stringify(chatBody(user())) });
  same(r.status, 307, 'status');
  truth(r.headers.get('location').startsWith('http://127.0.0.1:1/'), 'no location');
});

await test('calls counted as the clients counted them', {}, async () => {
  const { counts, inflight } = await status();
  same(counts.answered, answered, 'answered');
  same(counts.repeated, Object.keys(faces).length, 'repeated');
  same(inflight, 0, 'in flight');
});

console.log(`1..${number}`);
server.kill();
process.exit(failed ? 1 : 0);
