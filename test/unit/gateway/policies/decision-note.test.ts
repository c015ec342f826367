import { expect, test } from 'vitest';
import type { AuditLog } from '../../../../src/audit/audit-log.js';
import type { AuditEvent } from '../../../../src/audit/event.js';
import { anonymousPrincipal } from '../../../../src/auth/anonymous.js';
import { DecisionNote } from '../../../../src/gateway/policies/decision-note.js';
import type { RouteRules } from '../../../../src/gateway/policies/rules.js';
import { type GateContext, rule } from '../../../../src/gateway/policies/ruling.js';
import { createToolPins } from '../../../../src/policy/tool-pins.js';
import { scanClientMessage } from '../../../../src/protocol/scan.js';

const args = '{"text":"grüß"}';

function newNote(): { note: DecisionNote; recorded: { event: AuditEvent; argumentsLength: number | undefined }[] } {
  const recorded: { event: AuditEvent; argumentsLength: number | undefined }[] = [];
  const audit = {
    record: (event: AuditEvent, argumentsLength?: number) => recorded.push({ event, argumentsLength }) > 0,
  };
  const rules: RouteRules = {
    route: 'files',
    policy: undefined,
    defaultRole: 'user',
    limits: undefined,
    pins: createToolPins('off'),
    expose: { tools: true, resources: true, prompts: true },
    audit: audit as unknown as AuditLog,
    decisions: undefined,
  };
  const text = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":${args}}}`;
  const request = scanClientMessage(Buffer.from(text), { maxDepth: 8, maxTokens: 100 });
  if (request.id === undefined || request.method === undefined) throw new Error('not a request');
  const asked = { ...request, id: request.id, method: request.method };
  const context: GateContext = {
    caller: { principal: anonymousPrincipal(undefined), ip: '192.0.2.1', headers: {} },
    client: undefined,
    nowMs: 0,
    era: 'legacy',
    session: { label: 'abc' },
  };
  return { note: new DecisionNote(rules, request, context, rule(rules, asked, context)), recorded };
}

test('is written once, with the first outcome', () => {
  const { note, recorded } = newNote();
  note.write('ok');
  note.write('cancelled');
  note.writeLimited({ limit: 'slow', retryAfterMs: 1000 });
  expect(recorded).toHaveLength(1);
  const { event } = recorded[0] ?? {};
  expect(event).toMatchObject({ event: 'decision', route: 'files', role: 'user', session: 'abc', tool: 'echo' });
  expect(event).toMatchObject({ method: 'tools/call', effect: 'allow', layer: 'default', outcome: 'ok' });
});

test('tells how long its arguments are without making a copy or a view of them', () => {
  const { note, recorded } = newNote();
  note.write('ok');
  expect(recorded[0]?.argumentsLength).toBe(Buffer.byteLength(args));
  expect(Buffer.from(recorded[0]?.event.arguments ?? []).toString()).toBe(args);
});

test('a limit that is exceeded is what denied the call', () => {
  const { note, recorded } = newNote();
  note.writeLimited({ limit: 'slow', retryAfterMs: 1000 });
  expect(recorded[0]?.event).toMatchObject({
    effect: 'deny',
    layer: 'rate_limit',
    rule: 'slow',
    reason: 'the limit slow is exceeded',
    outcome: 'limited',
  });
});

test('has one id, which no other note has', () => {
  const { note } = newNote();
  expect(note.decisionId).toBe(note.decisionId);
  expect(newNote().note.decisionId).not.toBe(note.decisionId);
});
