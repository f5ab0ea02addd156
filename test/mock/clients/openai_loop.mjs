// The reference for agent runs: a loop with the official openai client that commits each step to the same Postgres.
//
//	node openai_loop.mjs URL RUNS PARALLEL		connects as the PG* variables say; prints runs per second, CPU milliseconds per run

import { randomUUID } from 'node:crypto';
import OpenAI from 'openai';
import pg from 'pg';

const [url, runs, parallel] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const client = new OpenAI({ apiKey: 'sk-bench', baseURL: url, maxRetries: 0 });
const pool = new pg.Pool({ host: process.env.PGHOST, max: parallel });
const insert = { name: 'step', text: 'INSERT INTO bench_step (run, seq, kind, input, output, tokens) VALUES ($1, $2, $3, $4, $5, $6)' };
const tools = [{ type: 'function', function: { name: 'report_progress', description: 'Tells the user how far the work is.',
  parameters: { type: 'object', properties: { message: { type: 'string' } }, required: ['message'] } } }];

async function run() {
  const id = randomUUID();
  const messages = [{ role: 'user', content: 'Work in five steps.' }];
  for (let seq = 1; ; seq++) {
    const answer = await client.chat.completions.create({ model: 'bench-1', messages, tools });
    const message = answer.choices[0].message;
    messages.push(message);
    const results = (message.tool_calls ?? []).map((call) => {
      JSON.parse(call.function.arguments);
      return { role: 'tool', tool_call_id: call.id, content: 'ok' };
    });
    messages.push(...results);
    // One commit a step: the call of the model together with what its tools said.
    await pool.query({ ...insert, values: [id, seq, 'model', JSON.stringify(message), JSON.stringify(results), answer.usage.total_tokens] });
    if (results.length === 0) return;
  }
}

let left = runs;
const worker = async () => { while (left-- > 0) await run(); };
await Promise.all(Array.from({ length: parallel }, run)); // connections and compiled code
const cpu = process.cpuUsage();
const begin = performance.now();
await Promise.all(Array.from({ length: parallel }, worker));
const seconds = (performance.now() - begin) / 1000;
const used = process.cpuUsage(cpu);
console.log((runs / seconds).toFixed(1), ((used.user + used.system) / 1000 / runs).toFixed(3));
await pool.end();
