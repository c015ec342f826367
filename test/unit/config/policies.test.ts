import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { lines, load, problemsOf, unguarded } from './helpers.js';

const V1 = { version: '1.0', name: 'Basic', default: 'deny', allow: ['post_*'] };
const V2 = `  strict:
    version: "2.0"
    name: Strict
    default: deny
    roles:
      user: { allow: ["post_*"] }
`;
const UPSTREAM = 'upstreams: [{ url: "http://a.com", policy: strict, role: user }]\n';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'policies-'));
  mkdirSync(join(cwd, 'policies'));
});

function write(name: string, text: string): void {
  writeFileSync(join(cwd, name), text);
}

describe('a policy', () => {
  test('is read from a JSON or a YAML file beside the file that names it', () => {
    write('policies/basic.json', JSON.stringify(V1));
    write('policies/roles.yaml', 'version: "2.0"\nname: Roles\ndefault: allow\n');
    const text = 'policies: { basic: policies/basic.json, roles: ./policies/roles.yaml }\nupstreams: [http://a.com]\n';
    const { policies, files } = load(text, { cwd });
    expect([...policies].map(([name, policy]) => [name, policy.version, policy.name, policy.file])).toEqual([
      ['basic', '1.0', 'Basic', 'policies/basic.json'],
      ['roles', '2.0', 'Roles', 'policies/roles.yaml'],
    ]);
    expect(files).toEqual([join(cwd, 'g.yaml'), join(cwd, 'policies/basic.json'), join(cwd, 'policies/roles.yaml')]);
  });

  test('may stand in the file itself, and then its rules point into that file', () => {
    const { policies, upstreams, warnings } = load(`policies:\n${V2}${UPSTREAM}`);
    const rule = policies.get('strict')?.roles.get('user')?.access.tool.allow[0];
    expect(rule).toMatchObject({
      rule: 'roles.user.allow "post_*"',
      source: { file: 'g.yaml', line: 7, column: 23 },
    });
    expect(upstreams[0]).toMatchObject({ policy: 'strict', role: 'user' });
    expect(warnings).toEqual([]);
  });

  test('is the same policy in either place', () => {
    write('policies/basic.json', JSON.stringify(V1));
    const inline = load(`policies: { p: ${JSON.stringify(V1)} }\nupstreams: [http://a.com]\n`, { cwd });
    const file = load('policies: { p: policies/basic.json }\nupstreams: [http://a.com]\n', { cwd });
    expect(file.policies.get('p')?.hash).toBe(inline.policies.get('p')?.hash);
    expect(file.hash).toBe(inline.hash);
  });

  test('may be an alias of another', () => {
    const text = `policies: { a: &p ${JSON.stringify(V1)}, b: *p }\nupstreams: [http://a.com]\n`;
    expect([...load(text).policies.values()].map((each) => each.name)).toEqual(['Basic', 'Basic']);
  });

  test('changes the hash of the configuration with every rule, and with nothing else', () => {
    const hash = (policy: object) =>
      load(`policies: { p: ${JSON.stringify(policy)} }\nupstreams: [http://a.com]\n`).hash;
    expect(hash({ ...V1, deny: ['x'] })).not.toBe(hash(V1));
    expect(hash({ allow: V1.allow, default: 'deny', name: 'Basic', version: '1.0' })).toBe(hash(V1));
  });

  test('sees policy.env, whose every value changes the hash', () => {
    const of = (region: string) =>
      load(
        `policy: { env: { REGION: "\${REGION}" } }\npolicies: { p: { version: "2.0", name: P, default: deny, tools: [{ match: a, when: 'env.REGION == "eu"' }] } }\nupstreams: [http://a.com]\n`,
        { env: { REGION: region } },
      );
    expect(of('eu').policyEnv).toEqual({ REGION: 'eu' });
    expect(of('eu').hash).not.toBe(of('us').hash);
  });
});

const REFUSALS: [string, string, string[]][] = [
  [
    'an unknown policy',
    `policies:\n${V2}upstreams: [{ url: "http://a.com", policy: strikt }]\n`,
    ['g.yaml:8:44: no policy has this name (did you mean "strict"?)'],
  ],
  [
    'an unknown policy that resembles none',
    `policies:\n${V2}upstreams: [{ url: "http://a.com", policy: production }]\n`,
    ['g.yaml:8:44: no policy has this name (there are: strict)'],
  ],
  ['a policy where there are none', UPSTREAM, ['g.yaml:1:44: no policy has this name (policies is empty)']],
  [
    'a file that is not there',
    'policies: { strict: ./none.json }\n' + UPSTREAM,
    ['g.yaml:1:21: cannot read none.json: no such file'],
  ],
  [
    'a policy that is a number',
    'policies: { strict: 5 }\n' + UPSTREAM,
    [
      'g.yaml:1:21: expected text or keys and values, got a whole number',
      'g.yaml:2:44: no policy has this name (policies is empty)',
    ],
  ],
  [
    'a name for the policy that cannot be used elsewhere',
    `policies: { "a b": ${JSON.stringify(V1)} }\nupstreams: [http://a.com]\n`,
    ['g.yaml:1:13: a policy name is 1 to 64 of A-Z a-z 0-9 _ . -'],
  ],
  [
    'an unknown key of policy',
    'policy: { external: {} }\nupstreams: [http://a.com]\n',
    ['g.yaml:1:11: unknown key "external" (known here: env)'],
  ],
  [
    'an env value that is no text',
    'policy: { env: { N: 5 } }\nupstreams: [http://a.com]\n',
    ['g.yaml:1:21: expected text, got a whole number'],
  ],
  [
    'a condition that needs what policy.env does not have',
    `policy: { env: { REGION: eu } }\npolicies:\n${V2}    tools:\n      - { match: a, when: 'env.REGIN == "eu"' }\n${UPSTREAM}`,
    [expect.stringMatching(/^g\.yaml:10:\d+: policy\.env has no "REGIN" \(did you mean "REGION"\?\)$/) as string],
  ],
];

describe('refuses', () => {
  test.each(REFUSALS)('%s', (_name, text, expected) => expect(lines(text)).toEqual(expected));

  test('everything that is wrong with every policy, at its place, beside other problems', () => {
    write('policies/broken.yaml', 'version: "2.0"\nname: B\ndefault: deny\nroles:\n  user: { alow: [a] }\n');
    const text = `server: { prot: 1 }
policies:
  broken: policies/broken.yaml
  again: ./policies/broken.yaml
  inline:
    version: "2.0"
    name: I
    default: denny
    tools:
      - match: a
        when: principal.tenat == "acme"
upstreams:
  - { url: "http://a.com", policy: broken }
`;
    expect(lines(text, { cwd })).toEqual([
      expect.stringMatching(/^g\.yaml:1:11: unknown key "prot"/),
      'g.yaml:8:14: expected allow or deny',
      'g.yaml:11:25: No such key: tenat',
      'policies/broken.yaml:5:11: unknown key "alow" (did you mean "allow"?)',
    ]);
    expect(problemsOf(text, { cwd }).map((problem) => problem.path)).toEqual([
      'server.prot',
      'policies.inline.default',
      'policies.inline.tools.0.when',
      'roles.user.alow',
    ]);
  });

  test('a policy with a value from a variable without showing it', () => {
    const env = { SECRET: 'canary' };
    const inline = 'policies: { p: { version: "1.0", name: P, default: "${SECRET}" } }\nupstreams: [http://a.com]\n';
    expect(lines(inline, { env })).toEqual([
      expect.stringMatching(
        /^g\.yaml:1:52: something is wrong with the policy here, which holds values from variables/,
      ),
    ]);
    const file = 'policies: { p: "${SECRET}" }\nupstreams: [{ url: "http://a.com", policy: "${SECRET}" }]\n';
    const shown = JSON.stringify(problemsOf(file, { env }));
    expect(shown).toContain('cannot read the file named here: no such file');
    expect(shown).toContain('no policy has this name');
    expect(shown).not.toContain('canary');
  });

  test('bytes that are no text, and a directory', () => {
    writeFileSync(join(cwd, 'bytes.json'), Buffer.from([0xff, 0xfe]));
    expect(lines('policies: { a: bytes.json, b: policies }\nupstreams: [http://a.com]\n', { cwd })).toEqual([
      'g.yaml:1:16: cannot read bytes.json: it is not UTF-8 text',
      'g.yaml:1:31: cannot read policies: it is a directory',
    ]);
  });
});

describe('warns', () => {
  const warnings = (text: string) => load(text).warnings;

  test('of a role that the policy does not know', () =>
    expect(warnings(`policies:\n${V2}upstreams: [{ url: "http://a.com", policy: strict, role: usr }]\n`)).toEqual([
      'g.yaml:8:58: the policy "strict" does not know this role, so its default applies (did you mean "user"?)',
    ]));

  test('of no role where the policy knows none: version 1.0', () =>
    expect(
      warnings(`policies: { p: ${JSON.stringify(V1)} }\nupstreams: [{ url: "http://a.com", policy: p, role: user }]\n`),
    ).toEqual([]));

  test('of a role that only one tenant has: never', () => {
    const tenants = '    tenants: { acme: { roles: { ops: { allow: ["*"] } } } }\n';
    const text = `policies:\n${V2}${tenants}upstreams: [{ url: "http://a.com", policy: strict, role: ops }]\n`;
    expect(warnings(text)).toEqual([]);
  });

  test('of every upstream without a policy, in one sentence', () =>
    expect(
      warnings(`policies:\n${V2}upstreams: [http://b.com, { url: "http://a.com", policy: strict }, http://c.com]\n`),
    ).toEqual([unguarded('b', 'c')]));

  test('of what loads but does nothing, with its place', () =>
    expect(warnings(`policies:\n${V2}    tools: [{ match: x }]\n${UPSTREAM}`)).toEqual([
      'g.yaml:8:13: the rule does nothing (give it effect, arguments, when or limit)',
    ]));
});
