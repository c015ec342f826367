import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli } from './helpers.js';

const POLICY = `version: "2.0"
name: Production
default: deny
roles:
  user: { inherits: [guest], allow: ["post_*"], deny: ["*_bulks*"], limit: 60/m }
  guest: { allow: ["get_*"] }
tools:
  - match: post_text
    limit: 10/m
    arguments: { properties: { to: { type: string, pattern: "^\\\\+44" } }, required: [to] }
  - match: post_claim
    when: principal.claims.level == 1
tenants:
  acme: { roles: { user: { allow: ["put_report"] } } }
`;
const CONFIG = `policies:
  production: policies/production.yaml
  quiet: { version: "2.0", name: Quiet, mode: shadow, default: deny }
upstreams:
  - { url: "http://a.com", prefix: sumit, policy: production, role: guest }
  - { url: "http://b.com", prefix: open }
  - { url: "http://c.com", prefix: hidden, policy: production, expose: { tools: false } }
  - { url: "http://d.com", prefix: quiet, policy: quiet }
`;

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'explain-'));
  mkdirSync(join(cwd, 'policies'));
  writeFileSync(join(cwd, 'policies/production.yaml'), POLICY);
  writeFileSync(join(cwd, 'gateway.yaml'), CONFIG);
});

const explain = (...words: string[]) => cli(['explain', ...words], { cwd });
async function json(...words: string[]): Promise<Record<string, unknown>> {
  return JSON.parse((await explain(...words, '--json')).out) as Record<string, unknown>;
}

describe('explain as JSON', () => {
  test('is the decision, whom it was about, and where the rule stands', async () => {
    const { code, out, err } = await explain('--route', 'sumit', '--tool', 'post_x', '--role', 'user', '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toEqual({
      effect: 'allow',
      layer: 'role',
      rule: 'roles.user.allow "post_*"',
      reason: 'allowed by roles.user.allow "post_*"',
      policy: 'Production',
      policyHash: expect.stringMatching(/^[0-9a-f]{64}$/),
      decisionId: null,
      route: 'sumit',
      tool: 'post_x',
      role: 'user',
      tenant: null,
      source: 'policies/production.yaml:5',
    });
  });

  test.each([
    [
      'the role of the route by default',
      ['post_x'],
      { effect: 'deny', layer: 'role', rule: 'default', role: 'guest', source: 'policies/production.yaml:6' },
    ],
    ['deny before allow', ['post_bulks', '--role', 'user'], { effect: 'deny', rule: 'roles.user.deny "*_bulks*"' }],
    [
      'what a tenant adds',
      ['put_report', '--role', 'user', '--tenant', 'acme'],
      { effect: 'allow', tenant: 'acme', source: 'policies/production.yaml:14' },
    ],
    ['the same without the tenant', ['put_report', '--role', 'user'], { effect: 'deny', tenant: null }],
    [
      'the default for an unknown role',
      ['get_x', '--role', 'nobody'],
      { effect: 'deny', layer: 'default', rule: 'default', source: 'policies/production.yaml:3' },
    ],
    [
      'arguments that are missing',
      ['post_text', '--role', 'user'],
      { effect: 'deny', layer: 'tool_rule', rule: 'tools[0] "post_text"', source: 'policies/production.yaml:10' },
    ],
    [
      'arguments that do not fit',
      ['post_text', '--role', 'user', '--args', '{"to":"+1"}'],
      { effect: 'deny', layer: 'tool_rule' },
    ],
    [
      'arguments that fit',
      ['post_text', '--role', 'user', '--args', '{"to":"+44"}'],
      { effect: 'allow', layer: 'role' },
    ],
  ])('knows %s', async (_name, [tool = '', ...rest], expected) => {
    expect(await json('--route', 'sumit', '--tool', tool, ...rest)).toMatchObject(expected);
  });

  test.each([
    ['no policy', 'open', 'allow', { layer: 'default', rule: 'default', policy: null, policyHash: null, source: null }],
    ['no exposed tools', 'hidden', 'deny', { layer: 'method', rule: 'expose.tools' }],
  ])('of a route with %s', async (_name, route, effect, expected) => {
    expect(await json('--route', route, '--tool', 'a')).toMatchObject({ effect, ...expected });
  });
});

describe('explain for people', () => {
  test('names layer, rule and place, and every step', async () => {
    const { code, out } = await explain('--route', '/sumit', '--tool', 'post_bulks', '--role', 'user');
    expect(code).toBe(1);
    expect(out.split('\n')).toEqual([
      'deny: role roles.user.deny "*_bulks*" (policies/production.yaml:5)',
      '  denied by roles.user.deny "*_bulks*"',
      '  route sumit, tool post_bulks, role user, tenant -',
      expect.stringMatching(/^ {2}policy "Production", hash [0-9a-f]{64}$/),
      '  1. tool_rule tools[0] "post_text": no match, the name does not match (policies/production.yaml:8)',
      '  2. tool_rule tools[1] "post_claim": no match, the name does not match (policies/production.yaml:11)',
      '  3. role roles.user.deny "*_bulks*": deny, denied by roles.user.deny "*_bulks*" (policies/production.yaml:5)',
      '  4. default: not reached, decided by role',
      '',
    ]);
  });

  test.each([
    [['sumit', 'get_x', '--role', 'nobody'], 'deny by default (policies/production.yaml:3)'],
    [['sumit', 'post_x'], 'deny by default of the role (policies/production.yaml:6)'],
    [['open', 'a'], 'allow by default'],
  ])('says of %j that no rule decided', async ([route = '', tool = '', ...rest], first) => {
    const { out } = await explain('--route', route, '--tool', tool, ...rest);
    expect(out.split('\n')[0]).toBe(first);
    expect(out).not.toContain('default default');
  });

  test('names the limits of an allowed call', async () => {
    const { code, out } = await explain(
      '--route',
      'sumit',
      '--tool',
      'post_text',
      '--role',
      'user',
      '--args',
      '{"to":"+44"}',
    );
    expect(code).toBe(0);
    expect(out).toContain('limits of such a call: tool:post_text 10/m, role:user 60/m');
  });

  test('says why a condition could not be answered', async () => {
    const { code, out } = await explain('--route', 'sumit', '--tool', 'post_claim', '--role', 'user');
    expect(code).toBe(1);
    expect(out).toMatch(
      /^deny: tool_rule tools\[1\] "post_claim" \(policies\/production\.yaml:12\)\n {2}policy_error: .*level/,
    );
  });

  test('says that under shadow the call passes', async () => {
    const { code, out } = await explain('--route', 'quiet', '--tool', 'a');
    expect(code).toBe(1);
    expect(out).toContain('mode: shadow - this is recorded, and the call passes all the same');
  });

  test('cannot be made to write terminal escapes', async () => {
    const { out } = await explain('--route', 'sumit', '--tool', '\u001b[2J\u202e');
    expect(out).toContain(String.raw`\u001b[2J\u202e`);
    expect(out).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
  });
});

describe('explain ends with', () => {
  test('64 for a route that is not there', async () =>
    expect(await explain('--route', 'sumi', '--tool', 'a')).toEqual({
      code: 64,
      out: '',
      err: 'mcp-gateway: there is no route "sumi" (did you mean "sumit"?)\n',
    }));

  test('78 for a configuration that is invalid', async () => {
    const { code, err } = await cli(['explain', '--config', '-', '--route', 'a', '--tool', 'b'], {
      stdin: 'upstreams: [{ url: "http://a.com", policy: x }]\n',
    });
    expect({ code, err }).toEqual({ code: 78, err: '<stdin>:1:44: no policy has this name (policies is empty)\n' });
  });

  test('66 without a file', async () =>
    expect((await explain('--config', 'none.yaml', '--route', 'a', '--tool', 'b')).code).toBe(66));
});
