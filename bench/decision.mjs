/**
 * How long one decision takes inside the process: the rules alone, and the whole gate with limits and the audit trail.
 * `node bench/decision.mjs [COUNT]` after `npm run build`; prints p50 and p99 in microseconds. No sockets, so nothing else is in the figure.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditLog } from '../dist/audit/audit-log.js';
import { anonymousPrincipal } from '../dist/auth/anonymous.js';
import { judge } from '../dist/gateway/policies/gate.js';
import { compilePolicy } from '../dist/policy/compile.js';
import { parsePolicy } from '../dist/policy/parse.js';
import { createToolPins } from '../dist/policy/tool-pins.js';
import { scanClientMessage } from '../dist/protocol/scan.js';
import { RateLimits } from '../dist/rate-limit/limiter.js';
import { MemoryLimitStore } from '../dist/rate-limit/memory-store.js';
import { rateLimitOptions } from '../dist/rate-limit/options.js';

const COUNT = Number(process.argv[2] ?? 200_000);
/** Compilers are done by then. */
const WARM_UP = 50_000;
/** As many requests as are under way at once; the audit trail is given time to write in between. */
const BATCH = 64;

/** The policy of the target `ruled`: 20 roles, 200 tool rules, an argument schema and a condition on the tool that is called. */
function benchPolicy() {
  const roles = { user: { allow: ['*'], deny: ['*_forbidden'] } };
  for (let index = 1; index < 20; index += 1)
    roles[`role${index}`] = { inherits: ['user'], allow: [`tool_${index}_*`] };
  const tools = Array.from({ length: 199 }, (_, index) => ({
    match: `other_${index}_*`,
    effect: 'deny',
    reason: 'not here',
  }));
  tools.push({
    match: 'echo',
    arguments: { type: 'object', properties: { text: { type: 'string', maxLength: 64 } }, required: ['text'] },
    when: 'size(args.text) < 64 && tool == "echo"',
  });
  const document = parsePolicy(
    JSON.stringify({ version: '2.0', name: 'Bench', default: 'deny', roles, tools }),
    'bench',
  );
  if (Array.isArray(document)) throw new Error(JSON.stringify(document));
  return compilePolicy(document, {});
}

async function benchRules(directory) {
  const limits = rateLimitOptions.parse({
    limits: [
      { name: 'per-caller', per: ['principal'], limit: '100000000/h' },
      { name: 'per-tool', per: ['principal', 'tool'], limit: '100000000/h' },
    ],
  });
  const store = new MemoryLimitStore();
  const options = { file: join(directory, 'audit.jsonl'), mode: 'best-effort', arguments: 'hash', key: undefined };
  return {
    route: 'legacy',
    policy: benchPolicy(),
    defaultRole: 'user',
    limits: new RateLimits(limits, store, { store, replicas: () => 1 }),
    pins: createToolPins('off'),
    expose: { tools: true, resources: true, prompts: true },
    audit: await AuditLog.open(options, { replica: 'bench' }),
  };
}

const caller = { principal: anonymousPrincipal(undefined), ip: '127.0.0.1', headers: {} };
const client = { name: 'bench', version: '1' };

/** As the load generator asks. */
function newRequest(number) {
  const params = { name: 'echo', arguments: { text: `n-bench-${number}-` } };
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: number, method: 'tools/call', params }));
  return scanClientMessage(bytes, { maxDepth: 64, maxTokens: 10_000 });
}

function newContext() {
  return { caller, client, nowMs: Date.now(), era: 'legacy', session: { label: '0123456789ab' } };
}

/** The rules alone: what `decide` is asked in the middle of the gate. */
function decide({ policy, route, defaultRole }, request) {
  const { start, end } = request.argumentsSpan;
  const bytes = request.raw.subarray(start, end);
  const { effect } = policy.decide({
    kind: 'tool',
    name: request.name,
    principal: caller.principal,
    role: defaultRole,
    route,
    request: caller,
    nowMs: 0,
    args: () => JSON.parse(bytes.toString()),
    rawArgs: () => bytes,
  });
  if (effect !== 'allow') throw new Error('the call was denied');
}

/** All that governs a call: rules, limits, and its record. */
async function govern(rules, request) {
  const verdict = judge(rules, request, newContext());
  const { kind, note } = verdict instanceof Promise ? await verdict : verdict;
  if (kind !== 'pass') throw new Error('the call did not pass');
  note.write('ok');
}

async function measure(title, count, one) {
  const tookUs = new Float64Array(count);
  for (let done = 0; done < count; done += BATCH) {
    const size = Math.min(BATCH, count - done);
    const requests = Array.from({ length: size }, (_, index) => newRequest(done + index));
    for (let index = 0; index < size; index += 1) {
      const startedAt = performance.now();
      const pending = one(requests[index]);
      if (pending !== undefined) await pending;
      tookUs[done + index] = (performance.now() - startedAt) * 1000;
    }
    await new Promise(setImmediate);
  }
  tookUs.sort();
  const at = (share) => tookUs[Math.floor(count * share)].toFixed(1);
  if (title !== undefined) process.stdout.write(`${title}: p50 ${at(0.5)} µs, p99 ${at(0.99)} µs, ${count} calls\n`);
}

const directory = mkdtempSync(join(tmpdir(), 'mcp-gateway-decision-'));
try {
  const rules = await benchRules(directory);
  await measure(undefined, WARM_UP, (request) => decide(rules, request));
  await measure('decision', COUNT, (request) => decide(rules, request));
  await measure(undefined, WARM_UP, (request) => govern(rules, request));
  await measure('decision, limits and record', COUNT, (request) => govern(rules, request));
  await rules.audit.close();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
