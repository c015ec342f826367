import { appendFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { AuditLog } from '../../../src/audit/audit-log.js';
import type { AuditEvent } from '../../../src/audit/event.js';
import type { AuditOptions } from '../../../src/audit/options.js';
import { cli } from './helpers.js';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'simulate-'));
});

type Call = Partial<AuditEvent> & { args?: unknown };

/** A trail as the gateway writes it. */
async function trail(calls: readonly Call[], mode: AuditOptions['arguments'] = 'hash'): Promise<void> {
  const file = join(cwd, 'audit.jsonl');
  const log = await AuditLog.open({ file, key: 'k'.repeat(32), mode: 'strict', arguments: mode }, { replica: 'r1' });
  for (const [index, { args, ...fields }] of calls.entries()) {
    log.record({
      event: 'decision',
      decisionId: `d${index + 1}`,
      route: 'sumit',
      principal: 'apikey|ci',
      role: 'user',
      method: 'tools/call',
      effect: 'allow',
      layer: 'role',
      rule: 'before',
      ...(args === undefined ? {} : { arguments: Buffer.from(JSON.stringify(args)) }),
      ...fields,
    });
  }
  await log.close();
}

function config(policy: string, more = ''): void {
  const text = `policies:\n  p:\n    version: "2.0"\n    name: P\n    default: deny\n${policy.replace(/^/gm, '    ')}\nupstreams:\n  - { url: "http://a.com", prefix: sumit, policy: p, role: guest${more} }\n`;
  writeFileSync(join(cwd, 'gateway.yaml'), text);
}

const simulate = (...words: string[]) => cli(['simulate', '--audit', 'audit.jsonl', ...words], { cwd });
async function json(): Promise<{ decisions: number; changed: Record<string, unknown>[] }> {
  return JSON.parse((await simulate('--json')).out) as { decisions: number; changed: Record<string, unknown>[] };
}

const ROLES = 'roles:\n  user: { allow: ["get_*", "post_*"], deny: ["*_bulks"] }\n  guest: { allow: ["get_*"] }';

describe('simulate', () => {
  test('names exactly the decisions that would change, both ways', async () => {
    config(ROLES);
    await trail([
      { tool: 'get_a' },
      { tool: 'post_bulks', tenant: 'acme' },
      { tool: 'post_x', effect: 'deny', outcome: 'denied' },
      { tool: 'put_x', effect: 'deny' },
      { tool: 'post_x', role: undefined },
      { event: 'session_open' },
      { method: 'tools/list' },
    ]);
    const { code, out, err } = await simulate('--json');
    expect({ code, err }).toEqual({ code: 1, err: '' });
    const change = { route: 'sumit', role: 'user', tenant: null };
    expect(JSON.parse(out)).toEqual({
      decisions: 5,
      changed: [
        {
          ...change,
          decisionId: 'd2',
          tool: 'post_bulks',
          tenant: 'acme',
          before: 'allow',
          after: 'deny',
          rule: 'roles.user.deny "*_bulks"',
        },
        {
          ...change,
          decisionId: 'd3',
          tool: 'post_x',
          before: 'deny',
          after: 'allow',
          rule: 'roles.user.allow "post_*"',
        },
        { ...change, decisionId: 'd5', tool: 'post_x', role: null, before: 'allow', after: 'deny', rule: 'default' },
      ],
    });
  });

  test('ends with 0 when nothing changes', async () => {
    config(ROLES);
    await trail([{ tool: 'get_a' }, { tool: 'x', effect: 'deny' }]);
    expect(await simulate()).toEqual({ code: 0, out: '2 decision(s), none would change\n', err: '' });
    expect(await simulate('--json')).toMatchObject({ code: 0, out: expect.stringContaining('"changed": []') });
  });

  test('groups by role and tool for people', async () => {
    config(ROLES);
    await trail([
      { tool: 'put_a' },
      { tool: 'put_a' },
      { tool: 'put_a', tenant: 'acme' },
      { tool: 'post_x', effect: 'deny' },
    ]);
    const { code, out } = await simulate();
    expect(code).toBe(1);
    expect(out.split('\n')).toEqual([
      '4 decision(s), 4 would change',
      '  1 x role user of acme, put_a on sumit: allow -> deny by default',
      '  1 x role user, post_x on sumit: deny -> allow by roles.user.allow "post_*"',
      '  2 x role user, put_a on sumit: allow -> deny by default',
      '',
    ]);
  });

  test('judges resources and prompts by their own lists', async () => {
    config('roles:\n  user:\n    allow: ["*"]\n    resources: { allow: ["docs://*"] }\n    prompts: { deny: ["*"] }');
    await trail([
      { method: 'resources/read', tool: 'docs://a' },
      { method: 'resources/read', tool: 'file:///a' },
      { method: 'prompts/get', tool: 'p' },
    ]);
    expect((await json()).changed.map(({ tool, rule }) => [tool, rule])).toEqual([
      ['file:///a', 'default'],
      ['p', 'roles.user.prompts.deny "*"'],
    ]);
  });

  test('decides by the recorded tenant, principal and time', async () => {
    config(
      `roles: { user: { allow: ["*"] } }\ntools:\n  - { match: a, when: 'principal.tenant == "acme" && principal.id == "apikey|ci" && now.getFullYear() > 2000' }`,
    );
    await trail([
      { tool: 'a', tenant: 'acme' },
      { tool: 'a' },
      { tool: 'a', tenant: 'acme', principal: 'apikey|other' },
    ]);
    expect((await json()).changed.map(({ decisionId }) => decisionId)).toEqual(['d2', 'd3']);
  });

  test('counts a route that is gone as denied, and one without a policy as open', async () => {
    config(ROLES);
    await trail([
      { tool: 'get_a', route: 'gone' },
      { tool: 'get_a', route: 'gone', effect: 'deny' },
    ]);
    expect((await json()).changed).toMatchObject([{ decisionId: 'd1', after: 'deny', rule: 'no such route' }]);
    writeFileSync(join(cwd, 'gateway.yaml'), 'upstreams: [{ url: "http://a.com", prefix: gone }]\n');
    expect((await json()).changed).toMatchObject([{ decisionId: 'd2', after: 'allow', rule: 'default' }]);
  });

  test('knows shadow and what a route does not expose', async () => {
    await trail([
      { tool: 'x', effect: 'allow', would: 'deny' },
      { tool: 'y', effect: 'deny' },
    ]);
    config(`mode: shadow\n${ROLES}`);
    expect((await json()).changed).toMatchObject([{ decisionId: 'd2', after: 'allow', rule: 'mode: shadow' }]);
    config('roles: { user: { allow: ["*"] } }', ', expose: { tools: false }');
    expect((await json()).changed).toMatchObject([{ decisionId: 'd1', after: 'deny', rule: 'expose.tools' }]);
  });
});

describe('arguments', () => {
  const RULE = `roles: { user: { allow: ["post_*"] } }\ntools:\n  - match: "*"\n    arguments: { properties: { n: { type: integer, maximum: 5 } } }`;

  test('that the trail holds are judged', async () => {
    config(RULE);
    await trail(
      [
        { tool: 'post_a', args: { n: 9 } },
        { tool: 'post_a', args: { n: 1 } },
      ],
      'redact',
    );
    expect((await json()).changed).toMatchObject([{ decisionId: 'd1', after: 'deny', rule: 'tools[0] "*"' }]);
  });

  test.each([
    ['are only a hash', 'hash', { n: 9 }],
    ['are not kept', 'none', { n: 9 }],
    ['are cut out in part', 'redact', { n: 9, password: 'x' }],
    ['were too large', 'redact', { n: 9, text: 'x'.repeat(10_000) }],
  ] as const)('that %s make a decision undecidable where a rule reads them', async (_name, mode, args) => {
    config(RULE);
    await trail([{ tool: 'post_a', args }], mode);
    const { code, out, err } = await simulate('--json');
    expect({ code, out: JSON.parse(out) as unknown }).toEqual({ code: 0, out: { decisions: 1, changed: [] } });
    expect(err.split('\n')).toEqual([
      '1 of them cannot be decided from the trail:',
      '  1 x tool post_a on sumit: tools[0] "*" reads arguments, which the trail does not hold',
      '',
    ]);
  });

  test('do not matter where a call is denied with any', async () => {
    config(RULE);
    await trail([{ tool: 'put_a', args: { n: 1 } }]);
    const { code, err } = await simulate();
    expect({ code, err }).toEqual({ code: 1, err: '' });
  });

  test('do not matter where no rule reads them', async () => {
    config(ROLES);
    await trail([{ tool: 'get_a', args: { n: 1 } }]);
    expect(await simulate()).toMatchObject({ code: 0, err: '' });
  });
});

describe('what the trail cannot tell', () => {
  test.each([
    ['claims', 'principal.claims.level == 1'],
    ['headers', 'request.headers["x-a"] == "1"'],
    ['addresses', 'request.ip == "127.0.0.1"'],
  ])('%s make a decision undecidable where a condition reads them', async (_name, when) => {
    config(`roles: { user: { allow: ["post_*"] } }\ntools:\n  - match: "post_*"\n    when: '${when}'`);
    await trail([{ tool: 'post_a' }, { tool: 'get_a' }]);
    const { code, err, out } = await simulate('--json');
    expect(code).toBe(1);
    expect((JSON.parse(out) as { changed: unknown }).changed).toMatchObject([{ decisionId: 'd2' }]);
    expect(err).toContain('1 x tool post_a on sumit: tools[0] "post_*" reads claims, headers or addresses');
  });

  test.each([
    ['rate_limit', 'it was refused by a limit, before any rule'],
    ['pin', 'it was refused because the tool had changed'],
  ] as const)('a refusal by %s says nothing of rules', async (layer, why) => {
    config(ROLES);
    await trail([{ tool: 'get_a', effect: 'deny', layer }]);
    const { code, err } = await simulate();
    expect({ code, err }).toEqual({
      code: 0,
      err: `1 of them cannot be decided from the trail:\n  1 x tool get_a on sumit: ${why}\n`,
    });
  });

  test('a name that was cut is not judged', async () => {
    config(ROLES);
    await trail([{ tool: `get_${'a'.repeat(20_000)}` }, { tool: 'get Bearer abcdefghijklmnop' }]);
    const { code, err } = await simulate();
    expect(code).toBe(0);
    expect(err).toMatch(/^2 of them cannot be decided/);
  });
});

describe('a trail', () => {
  test('that is not there ends with 66', async () => {
    config(ROLES);
    expect(await simulate()).toEqual({
      code: 66,
      out: '',
      err: 'mcp-gateway: cannot read audit.jsonl: no such file\n',
    });
  });

  test('with an unfinished last line is read up to there; other lines are counted', async () => {
    config(ROLES);
    await trail([{ tool: 'get_a' }]);
    appendFileSync(join(cwd, 'audit.jsonl'), 'rubbish\n{"event":"deci');
    const { code, out, err } = await simulate();
    expect({ code, out }).toEqual({ code: 0, out: '1 decision(s), none would change\n' });
    expect(err).toBe('1 line(s) are no records; see mcp-gateway audit verify\n');
  });

  test('without decisions says so', async () => {
    config(ROLES);
    await trail([{ event: 'session_open' }]);
    expect(await simulate()).toMatchObject({
      code: 0,
      out: 'the trail holds no decision about a tool, resource or prompt\n',
    });
  });

  test('cannot be made to write terminal escapes', async () => {
    config(ROLES);
    await trail([{ tool: 'x\u001b[2J\u202e' }]);
    const { out } = await simulate();
    expect(out).toContain(String.raw`x\u001b[2J\u202e`);
    expect(out).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
  });
});
