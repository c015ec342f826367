/** Who may reach the gateway, how often, and what is kept of it: `auth`, `rateLimits`, `audit`, `trustedProxies`, `oauth`. */
import { copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/config/problem.js';
import { lines, load, ONE, problemsOf, unguarded } from './helpers.js';

const HEX = 'a'.repeat(64);
const KEY = `auth: { apiKeys: [{ name: ci, sha256: ${HEX} }] }\n`;
const JWT = 'issuer: "https://idp.example/", audience: gw';

describe('auth', () => {
  test('says who callers are', () => {
    const { auth } = load(
      `${ONE}auth:\n  anonymous: { role: guest }\n  apiKeys: [{ name: ci, sha256: ${HEX}, role: user, tenant: acme }]\n  jwt: [{ ${JWT}, jwksUri: "https://idp.example/keys" }]\n`,
    );
    expect(auth).toMatchObject({
      anonymous: { role: 'guest' },
      apiKeys: [{ name: 'ci', sha256: HEX, role: 'user', tenant: 'acme' }],
      jwt: [{ issuer: 'https://idp.example/', algorithms: ['RS256', 'ES256', 'EdDSA'], roleClaim: 'role' }],
    });
  });

  test.each([
    ['an API key', KEY],
    ['an issuer', `auth: { jwt: [{ ${JWT}, jwksUri: "https://idp.example/keys" }] }\n`],
  ])('with %s allows any address', (_name, auth) =>
    expect(load(`${ONE}server: { host: 0.0.0.0 }\n${auth}`).server.insecure).toBe(false),
  );

  test.each([
    ['nothing', ''],
    ['no method', 'auth: {}\n'],
    ['anonymous callers alone', 'auth: { anonymous: { role: guest } }\n'],
  ])('with %s keeps to loopback', (_name, auth) =>
    expect(lines(`${ONE}server: { host: 0.0.0.0 }\n${auth}`)).toEqual([
      'g.yaml:2:17: this address can be reached from other machines, and there is no authentication (bind to 127.0.0.1, configure auth.apiKeys or auth.jwt, or set server.insecure: true)',
    ]),
  );

  test.each([
    [
      'a digest that is none',
      'apiKeys: [{ name: ci, sha256: abc }]',
      'g.yaml:2:39: must be the SHA-256 of the key: 64 hexadecimal digits',
    ],
    ['a key without a name', `apiKeys: [{ sha256: ${HEX} }]`, 'g.yaml:2:19: missing key "name" (expected text)'],
    ['a mistyped method', 'apiKey: []', 'g.yaml:2:9: unknown key "apiKey" (did you mean "apiKeys"?)'],
    ['an empty list', 'apiKeys: []', 'g.yaml:2:18: must not be empty'],
    ['an issuer without keys', `jwt: [{ ${JWT} }]`, 'g.yaml:2:15: needs exactly one of jwksUri and jwksFile'],
    ['plain http', `jwt: [{ ${JWT}, jwksUri: "http://idp.example/keys" }]`, /^g\.yaml:2:72: /],
    [
      'a shared-secret algorithm',
      `jwt: [{ ${JWT}, jwksUri: "https://i.e/k", algorithms: [HS256] }]`,
      /^g\.yaml:2:102: must be one of RS256, /,
    ],
    [
      'a key set that is not there',
      `jwt: [{ ${JWT}, jwksFile: keys.json }]`,
      'g.yaml:2:73: cannot read /nonexistent/keys.json: no such file',
    ],
    [
      'a method that is not there yet',
      'mtls: {}',
      'g.yaml:2:9: unknown key "mtls" (known here: anonymous, apiKeys, jwt)',
    ],
  ])('refuses %s', (_name, auth, expected) => {
    const found = lines(`${ONE}auth: { ${auth} }\n`);
    expect(found).toEqual([typeof expected === 'string' ? expected : (expect.stringMatching(expected) as string)]);
  });

  test('refuses two keys of one name at the second', () =>
    expect(
      lines(
        `${ONE}auth:\n  apiKeys:\n    - { name: ci, sha256: ${HEX} }\n    - { name: ci, sha256: ${'b'.repeat(64)} }\n`,
      ),
    ).toEqual(['g.yaml:5:15: name is used by an earlier entry']));

  test('never shows a value from a variable', () => {
    const text = `${ONE}auth: { apiKeys: [{ name: ci, sha256: "\${K}" }] }\n`;
    expect(JSON.stringify(problemsOf(text, { env: { K: 'canary' } }))).not.toContain('canary');
  });
});

describe('rateLimits', () => {
  test('have defaults, and rates in numbers', () => {
    const { rateLimits } = load(
      `${ONE}rateLimits:\n  limits: [{ name: all, per: [principal], limit: 600/m, burst: 20 }]\n`,
    );
    expect(rateLimits.onStoreFailure).toBe('local');
    expect(rateLimits.limits[0]).toMatchObject({ name: 'all', per: ['principal'], burst: 20 });
    expect(JSON.stringify(rateLimits.limits[0]?.limit)).toContain('600');
  });

  test.each([
    [
      'a rate that is none',
      'limits: [{ name: a, per: [ip], limit: 600 }]',
      /^g\.yaml:2:53: expected text, got a whole number$/,
    ],
    [
      'a rate without a unit',
      'limits: [{ name: a, per: [ip], limit: 600/x }]',
      /^g\.yaml:2:53: must be a rate such as/,
    ],
    [
      'a mistyped dimension',
      'limits: [{ name: a, per: [principle], limit: 6/m }]',
      /^g\.yaml:2:41: .*did you mean "principal"\?\)$/,
    ],
    [
      'a mistyped choice',
      'onStoreFailure: locale',
      /^g\.yaml:2:31: must be one of local, deny, allow \(did you mean "local"\?\)$/,
    ],
    [
      'two of one name',
      'limits: [{ name: a, per: [ip], limit: 6/m }, { name: a, per: [ip], limit: 6/m }]',
      /^g\.yaml:2:68: "a" names two limits$/,
    ],
  ])('refuse %s', (_name, text, expected) =>
    expect(lines(`${ONE}rateLimits: { ${text} }\n`)).toEqual([expect.stringMatching(expected)]),
  );
});

describe('audit', () => {
  test('is off unless the section is there', () => {
    expect(load(ONE).audit).toBeUndefined();
    expect(load(`${ONE}audit: {}\n`).audit).toEqual({
      file: '/nonexistent/audit/audit.jsonl',
      mode: 'best-effort',
      arguments: 'hash',
    });
  });

  test('keeps its file beside the configuration, not in the working directory', () => {
    const cwd = mkdtempSync(join(tmpdir(), 'audit-'));
    mkdirSync(join(cwd, 'conf'));
    writeFileSync(join(cwd, 'conf/g.yaml'), '');
    expect(load('upstreams: []\naudit: { file: trail.jsonl }\n', { cwd }).audit?.file).toBe(join(cwd, 'trail.jsonl'));
  });

  test('is configured by variables too, but a key alone does not turn it on', () => {
    const env = { MCP_GATEWAY_AUDIT_KEY: 'k'.repeat(32) };
    expect(load(ONE, { env }).audit).toBeUndefined();
    expect(load(`${ONE}audit: {}\n`, { env }).audit?.key).toBe(env.MCP_GATEWAY_AUDIT_KEY);
    const more = { ...env, MCP_GATEWAY_AUDIT_FILE: 'a.jsonl', MCP_GATEWAY_AUDIT_MODE: 'strict' };
    expect(load(ONE, { env: more }).audit).toMatchObject({
      file: '/nonexistent/a.jsonl',
      mode: 'strict',
      key: env.MCP_GATEWAY_AUDIT_KEY,
    });
  });

  test('warns of a key in the file and never of one from a variable', () => {
    expect(load(`${ONE}audit: { key: abc }\n`).warnings[1]).toMatch(
      /^g\.yaml:2:15: the value of key stands in the file/,
    );
    expect(load(`${ONE}audit: { key: "\${K}" }\n`, { env: { K: 'abc' } }).warnings).toEqual([unguarded('sumit')]);
  });

  test('refuses a mode that is none', () =>
    expect(lines(`${ONE}audit: { mode: stric }\n`)).toEqual([
      'g.yaml:2:16: must be one of best-effort, strict (did you mean "strict"?)',
    ]));
});

describe('trustedProxies', () => {
  const proxies = (list: string) => `${ONE}server: { trustedProxies: [${list}] }\n`;

  test('are networks; a bare address is one of itself', () =>
    expect(load(proxies('10.0.0.0/8, 192.168.1.1, "fd00::/8", "::1"')).server.trustedProxies).toEqual([
      '10.0.0.0/8',
      '192.168.1.1/32',
      'fd00::/8',
      '::1/128',
    ]));

  test.each([
    '10.0.0.0/33',
    '10.0.0/8',
    'proxy.example.com',
    '"fd00::/129"',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '"fe80::1%eth0"',
    '*',
  ])('refuse %s', (written) =>
    expect(lines(proxies(written.startsWith('*') ? '"*"' : written))).toEqual([
      expect.stringMatching(/^g\.yaml:2:28: expected an address or a CIDR such as/),
    ]),
  );

  test('that are everyone get a warning', () =>
    expect(load(proxies('"::/0"')).warnings[0]).toMatch(/^g\.yaml:2:27: every caller is a trusted proxy/));
});

describe('oauth', () => {
  const upstream = (oauth: string, more = '') => `upstreams: [{ url: "http://a.com", ${more}oauth: { ${oauth} } }]\n`;
  const REST = 'clientId: me, clientSecret: "${S}"';
  const env = { S: 'canary' };

  test('is taken with what it needs', () =>
    expect(
      load(upstream(`tokenUrl: "https://i.e/t", ${REST}, scope: a b, resource: "urn:x"`), { env }).upstreams[0]?.oauth,
    ).toEqual({
      tokenUrl: 'https://i.e/t',
      clientId: 'me',
      clientSecret: 'canary',
      scope: 'a b',
      resource: 'urn:x',
    }));

  test.each(['http://localhost:1/t', 'http://127.0.0.1/t', 'http://[::1]/t'])('may ask %s without TLS', (url) =>
    expect(load(upstream(`tokenUrl: "${url}", ${REST}`), { env }).upstreams[0]?.oauth?.tokenUrl).toBe(url),
  );

  test.each([
    ['http://i.e/t', 'the URL must start with https://, or with http:// on a loopback host'],
    ['http://127.0.0.1.evil.com/t', 'the URL must start with https://, or with http:// on a loopback host'],
    ['https://a:b@i.e/t', 'expected a URL such as https://idp.example.com/token, without user name or fragment'],
    ['nonsense', 'expected a URL such as https://idp.example.com/token, without user name or fragment'],
  ])('refuses the token endpoint %s', (url, message) =>
    expect(lines(upstream(`tokenUrl: "${url}", ${REST}`), { env })).toEqual([`g.yaml:1:55: ${message}`]),
  );

  test('cannot stand beside an authorization of its own', () =>
    expect(
      lines(upstream(`tokenUrl: "https://i.e/t", ${REST}`, 'headers: { Authorization: "${S}" }, '), { env }),
    ).toEqual(['g.yaml:1:72: headers has an authorization already; oauth would send a second one']));

  test('changes the hash with its secret and warns of one in the file', () => {
    const text = upstream(`tokenUrl: "https://i.e/t", ${REST}`);
    expect(load(text, { env }).hash).not.toBe(load(text, { env: { S: 'other' } }).hash);
    const plain = load(upstream('tokenUrl: "https://i.e/t", clientId: me, clientSecret: abc'));
    expect(plain.warnings[0]).toMatch(/^g\.yaml:1:\d+: the value of clientSecret stands in the file as plain text/);
  });
});

describe('files', () => {
  test('are everything that was read or named', () => {
    const cwd = mkdtempSync(join(tmpdir(), 'files-'));
    for (const name of ['more.d', 'tls']) mkdirSync(join(cwd, name));
    for (const [name, fixture] of [
      ['cert.pem', 'server.pem'],
      ['key.pem', 'server.key'],
      ['ca.pem', 'ca.pem'],
    ] as const) {
      copyFileSync(join('test/fixtures/tls', fixture), join(cwd, 'tls', name));
    }
    writeFileSync(join(cwd, 'keys.json'), '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}');
    writeFileSync(join(cwd, 'port'), '80');
    writeFileSync(
      join(cwd, 'more.d/one.yaml'),
      'upstreams: [{ url: "http://b.com", tls: { caFile: ../tls/ca.pem } }]\n',
    );
    const { files } = load(
      `server:\n  port: \${file:port}\n  tls: { certFile: tls/cert.pem, keyFile: tls/key.pem }\ninclude: ["more.d/*.yaml", "later.d/*.yaml"]\n${ONE}auth: { jwt: [{ ${JWT}, jwksFile: keys.json }] }\n`,
      { cwd },
    );
    const expected = [
      'g.yaml',
      'port',
      'tls/cert.pem',
      'tls/key.pem',
      'more.d',
      'more.d/one.yaml',
      'later.d',
      'tls/ca.pem',
      'keys.json',
    ];
    expect([...files].toSorted()).toEqual(expected.map((name) => join(cwd, name)).toSorted());
  });

  test('of a configuration that does not load are known too', () => {
    try {
      load('policies: { p: none.json }\nupstreams: [http://a.com]\n');
      expect.unreachable();
    } catch (error) {
      expect(error instanceof ConfigError ? error.files : undefined).toEqual([
        '/nonexistent/g.yaml',
        '/nonexistent/none.json',
      ]);
    }
  });
});
