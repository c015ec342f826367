import { describe, expect, test } from 'vitest';
import { lines, load, ONE, problemsOf, unguarded } from './helpers.js';

describe('a valid file', () => {
  test('of one bare URL gets every default', () => {
    const config = load(ONE);
    expect(config).toMatchObject({ source: 'g.yaml', warnings: [unguarded('sumit')], defaultRoute: 'sumit' });
    expect(config.server).toEqual({
      host: '127.0.0.1',
      port: 8080,
      insecure: false,
      publicUrl: undefined,
      domain: undefined,
      allowedHosts: [],
      allowedOrigins: [],
      trustedProxies: [],
      tls: undefined,
      limits: {
        bodyBytes: 4_194_304,
        jsonDepth: 64,
        jsonTokens: 100_000,
        upstreamMessageBytes: 16_777_216,
        sessions: 10_000,
        sessionsPerPrincipal: 100,
        inFlight: 1000,
        streamBufferBytes: 65_536,
        bufferBytes: 67_108_864,
      },
      sessions: { resumeGraceMs: 120_000, idleTimeoutMs: 900_000, ttlMs: 86_400_000 },
      drain: { preStopMs: 0, timeoutMs: 25_000 },
    });
    expect(config.logging).toEqual({ level: 'info', format: 'auto', file: undefined });
    expect(config.upstreams).toEqual([
      {
        prefix: 'sumit',
        url: 'https://mcp.sumit.com/sms/sse',
        transport: 'auto',
        protocol: 'auto',
        headers: {},
        forwardHeaders: [],
        oauth: undefined,
        tls: undefined,
        policy: undefined,
        role: undefined,
        pins: 'warn',
        expose: { tools: true, resources: true, prompts: true },
        required: false,
        onLoss: 'reinitialize',
        timeouts: { connectMs: 5000, idleMs: 300_000, totalMs: 1_800_000 },
        circuitBreaker: { failures: 5, windowMs: 10_000, cooldownMs: 5000 },
        inFlight: 100,
      },
    ]);
    expect(config).toMatchObject({ auth: undefined, audit: undefined, policyEnv: {}, files: ['/nonexistent/g.yaml'] });
    expect(config.policies.size).toBe(0);
    expect(config.rateLimits).toEqual({ onStoreFailure: 'local', limits: [] });
  });

  test('says everything that can be said', () => {
    const config = load(
      `
version: 1
server:
  host: "::1"
  port: 0
  publicUrl: https://gw.example.com/base/
  domain: Gateway.Example.com
  allowedHosts: [a.example.com, "[::1]"]
  allowedOrigins: ["https://app.example.com:443", "vscode-webview://abc"]
  limits: { bodyBytes: 1MiB, jsonDepth: 10, bufferBytes: 100000 }
  sessions: { resumeGrace: 250ms, ttl: 2d }
  drain: { preStop: 5s, timeout: 0s }
upstreams:
  - url: http://localhost:3000/sse
    prefix: local
    transport: sse
    headers: { X-Env: "\${STAGE}", Accept-Language: en }
    forwardHeaders: [X-Request-Id]
    required: true
    onLoss: close
    timeouts: { connect: 1s, idle: 1m, total: 1h }
    circuitBreaker: { failures: 3, window: 1m, cooldown: 30s }
    inFlight: 7
default: local
logging: { level: debug, format: json, file: logs/g.log }
`,
      { env: { STAGE: 'test' } },
    );
    expect(config.server).toMatchObject({
      host: '::1',
      port: 0,
      publicUrl: { origin: 'https://gw.example.com', path: '/base' },
      domain: 'gateway.example.com',
      allowedHosts: ['a.example.com', '[::1]'],
      allowedOrigins: ['https://app.example.com', 'vscode-webview://abc'],
      limits: { bodyBytes: 1_048_576, jsonDepth: 10, bufferBytes: 100_000 },
      sessions: { resumeGraceMs: 250, ttlMs: 172_800_000 },
      drain: { preStopMs: 5000, timeoutMs: 0 },
    });
    expect(config.upstreams[0]).toMatchObject({
      prefix: 'local',
      transport: 'sse',
      headers: { 'x-env': 'test', 'accept-language': 'en' },
      forwardHeaders: ['x-request-id'],
      required: true,
      onLoss: 'close',
      timeouts: { connectMs: 1000, idleMs: 60_000, totalMs: 3_600_000 },
      circuitBreaker: { failures: 3, windowMs: 60_000, cooldownMs: 30_000 },
      inFlight: 7,
    });
    expect(config.logging).toEqual({ level: 'debug', format: 'json', file: '/nonexistent/logs/g.log' });
  });

  test('keeps headers in an object without a prototype', () => {
    const { headers } = load('upstreams: [{ url: "http://a.com", headers: { constructor: x } }]').upstreams[0] ?? {};
    expect(Object.getPrototypeOf(headers)).toBeNull();
    expect({ ...headers }).toEqual({ constructor: 'x' });
  });

  test('may use anchors and aliases', () => {
    const config = load(
      'upstreams:\n  - { url: "http://a.com", timeouts: &t { connect: 1s } }\n  - { url: "http://b.com", timeouts: *t }\n',
    );
    expect(config.upstreams.map((each) => each.timeouts.connectMs)).toEqual([1000, 1000]);
  });

  test.each([
    ['two upstreams', 'upstreams: [http://a.com, http://b.com]', undefined],
    ['one upstream', 'upstreams: [http://a.com]', 'a'],
    ['a named default', 'upstreams: [http://a.com, http://b.com]\ndefault: b', 'b'],
  ])('with %s has the right default route', (_name, text, route) => expect(load(text).defaultRoute).toBe(route));
});

/** name, text, and every line that a user reads */
const REFUSALS: [string, string, string[]][] = [
  [
    'nothing at all',
    '',
    [
      'g.yaml:1:1: at least one of upstreams, include, mcpServers is required (the shortest file is: upstreams: [https://mcp.example.com/sse])',
    ],
  ],
  ['a list', '[]', ['g.yaml:1:1: expected keys and values, got a list']],
  ['an empty key', 'upstreams:\n', ['g.yaml:1:11: expected a list, got nothing']],
  ['a newer version', `version: 2\n${ONE}`, ['g.yaml:1:10: this gateway knows version 1 only']],
  [
    'a mistyped top-level key',
    'upstraems: [https://a.com]\n',
    [
      'g.yaml:1:1: unknown key "upstraems" (did you mean "upstreams"?)',
      'g.yaml:1:1: at least one of upstreams, include, mcpServers is required (the shortest file is: upstreams: [https://mcp.example.com/sse])',
    ],
  ],
  [
    'a mistyped key of an upstream',
    'upstreams:\n  - url: https://a.com\n    tranport: sse\n',
    ['g.yaml:3:5: unknown key "tranport" (did you mean "transport"?)'],
  ],
  [
    'a mistyped value',
    'upstreams:\n  - url: https://a.com\n    transport: ssee\n',
    ['g.yaml:3:16: must be one of auto, sse, streamable-http (did you mean "sse"?)'],
  ],
  ['a capability that is not there', `${ONE}anomaly: {}\n`, ['g.yaml:2:1: unknown key "anomaly"']],
  ['a duplicate key', 'server:\n  port: 1\n  port: 2\n' + ONE, ['g.yaml:3:3: duplicate key "port"']],
  [
    '__proto__',
    `${ONE}server: { __proto__: { port: 1 } }\n`,
    ['g.yaml:2:11: this key is not allowed', expect.stringContaining('unknown key')],
  ],
  ['a merge key', `${ONE}server: { <<: { port: 1 } }\n`, [expect.stringMatching(/^g\.yaml:2:11: unknown key "<<"/)]],
  ['a custom tag', `${ONE}server: !!js/function x\n`, [expect.stringMatching(/^g\.yaml:2:9: Unresolved tag/)]],
  [
    'two documents',
    `${ONE}---\n${ONE}`,
    ['g.yaml:2:1: a configuration is one YAML document; "---" starts a second one'],
  ],
  ['tabs', 'upstreams:\n\t- http://a.com\n', ['g.yaml:2:1: tabs cannot indent YAML; use spaces']],
  ['an alias without an anchor', 'upstreams: [*a]', ['g.yaml:1:13: no complete anchor "a" stands before this alias']],
  [
    'an alias inside its anchor',
    'upstreams: &a [*a]',
    ['g.yaml:1:16: no complete anchor "a" stands before this alias'],
  ],
  ['nesting without end', '['.repeat(100_000), ['g.yaml:1:1: nested too deeply']],
  ['nested dashes without end', '- '.repeat(100_000), ['g.yaml:1:1: nested too deeply']],
  [
    'an alias bomb',
    'a: &a [1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b]\n',
    ['g.yaml:1:1: aliases stand for too much; at most 50 uses are taken'],
  ],
  ['a quoted number', `${ONE}server: { port: "80" }\n`, ['g.yaml:2:17: expected a whole number']],
  ['the Norway problem', `${ONE}server: { insecure: no }\n`, ['g.yaml:2:21: expected true or false, got text']],
  ['a port beyond the last', `${ONE}server: { port: 65536 }\n`, ['g.yaml:2:17: must be at most 65535']],
  [
    'a duration without a unit',
    `${ONE}server: { drain: { timeout: 5 } }\n`,
    ['g.yaml:2:29: expected a duration such as 250ms, 30s, 5m or 1h'],
  ],
  [
    'a size out of bounds',
    `${ONE}server: { limits: { bodyBytes: 1B } }\n`,
    ['g.yaml:2:32: must be between 1KiB and 1GiB'],
  ],
  [
    'a size that is none',
    `${ONE}server: { limits: { bodyBytes: 4MB } }\n`,
    ['g.yaml:2:32: expected a size such as 64KiB, 4MiB or a number of bytes'],
  ],
  [
    'an upstream without a URL',
    'upstreams:\n  - prefix: a\n',
    ['g.yaml:2:5: missing key "url" (expected a URL such as https://mcp.example.com/sse)'],
  ],
  [
    'an upstream that is a number',
    'upstreams: [5]',
    ['g.yaml:1:13: expected text or keys and values, got a whole number'],
  ],
  [
    'a URL without a scheme',
    'upstreams: [mcp.example.com]',
    ['g.yaml:1:13: not a URL; write it with its scheme, such as https://mcp.example.com/sse'],
  ],
  ['a file URL', 'upstreams: ["file:///etc/passwd"]', ['g.yaml:1:13: the URL must start with http:// or https://']],
  ['a fragment', 'upstreams: ["https://a.com/#x"]', ['g.yaml:1:13: a fragment (#...) is never sent to a server']],
  [
    'a password in a URL',
    'upstreams: ["https://me:pw@a.com/"]',
    [
      'g.yaml:1:13: a URL must not hold a user name or password (send credentials with headers: { Authorization: "Bearer ${TOKEN}" })',
    ],
  ],
  [
    'a prefix that is none',
    'upstreams: [{ url: "http://a.com", prefix: A_b }]',
    ['g.yaml:1:44: a prefix is 1 to 63 characters of a-z, 0-9 and -, and does not start with -'],
  ],
  [
    'a certificate without its key',
    'upstreams: [{ url: "http://a.com", tls: { certFile: a.pem } }]',
    ['g.yaml:1:41: certFile and keyFile go together'],
  ],
  [
    'a certificate that is not there',
    `${ONE}server: { tls: { certFile: a.pem, keyFile: /etc } }\n`,
    ['g.yaml:2:28: cannot read /nonexistent/a.pem: no such file', 'g.yaml:2:44: cannot read /etc: it is a directory'],
  ],
  [
    'listening beyond loopback',
    `${ONE}server: { host: 0.0.0.0 }\n`,
    [
      'g.yaml:2:17: this address can be reached from other machines, and there is no authentication (bind to 127.0.0.1, configure auth.apiKeys or auth.jwt, or set server.insecure: true)',
    ],
  ],
  [
    'a host with a port',
    `${ONE}server: { host: "localhost:80" }\n`,
    ['g.yaml:2:17: expected an IP address or a host name, without a port'],
  ],
  [
    'any origin',
    `${ONE}server: { allowedOrigins: ["*", https://a.com/x] }\n`,
    [
      'g.yaml:2:28: expected an exact origin such as https://app.example.com, without a path or *',
      'g.yaml:2:33: expected an exact origin such as https://app.example.com, without a path or *',
    ],
  ],
  [
    'a public URL with a query',
    `${ONE}server: { publicUrl: "https://a.com/?x" }\n`,
    ['g.yaml:2:22: expected a URL such as https://gw.example.com/base, or a path such as /base'],
  ],
  [
    'a default that is no route',
    `${ONE}default: sumi\n`,
    ['g.yaml:2:10: no upstream has this prefix (did you mean "sumit"?)'],
  ],
  [
    'a pattern in a directory',
    'include: ["*/a.yaml"]',
    ['g.yaml:1:11: * and ? work in the file name only, not in a directory'],
  ],
  ['an included file that is not there', 'include: [a.yaml]', ['g.yaml:1:11: cannot read a.yaml: no such file']],
  [
    'an unquoted variable in a flow map',
    'server: { port: ${PORT} }',
    expect.arrayContaining([
      expect.stringContaining('inside [ ] and { } a variable stands in quotes: "${NAME}"'),
    ]) as string[],
  ],
];

describe('refuses', () => {
  test.each(REFUSALS)('%s', (_name, text, expected) => expect(lines(text)).toEqual(expected));

  test('every problem at once, from top to bottom', () => {
    const text =
      'server:\n  prot: 1\n  port: x\nupstreams:\n  - ftp://a\n  - url: http://b.com\n    headers: { Host: b }\nlogging: { level: loud }\n';
    expect(lines(text)).toEqual([
      expect.stringMatching(/^g\.yaml:2:3: unknown key "prot" \(did you mean "port"\?\)$/),
      'g.yaml:3:9: expected a whole number',
      'g.yaml:5:5: the URL must start with http:// or https://',
      'g.yaml:7:16: the gateway sets the header "host" itself',
      'g.yaml:8:19: must be one of error, warn, info, debug',
    ]);
  });

  test('with a path for machines', () => {
    expect(problemsOf('upstreams: [{ url: "http://a.com", headers: { Host: b } }]')).toEqual([
      {
        file: 'g.yaml',
        line: 1,
        column: 47,
        path: 'upstreams[0].headers.Host',
        message: 'the gateway sets the header "host" itself',
      },
    ]);
  });

  test('more than 1 MiB, and bytes that are no text', () => {
    expect(lines(`#${'x'.repeat(1 << 20)}`)).toEqual(['g.yaml:1:1: larger than 1048576 bytes']);
    expect(() => load(Buffer.from([0xff, 0xfe]) as unknown as string)).toThrow('g.yaml:1:1: not UTF-8 text');
  });
});

describe('headers', () => {
  const withHeader = (name: string, value = 'v') =>
    lines(`upstreams: [{ url: "http://a.com", headers: { ${JSON.stringify(name)}: ${JSON.stringify(value)} } }]`);

  test.each([
    'host',
    'Content-Length',
    'Transfer-Encoding',
    'connection',
    'mcp-session-id',
    'MCP-Protocol-Version',
    'Last-Event-ID',
  ])('refuse %s', (name) =>
    expect(withHeader(name)).toEqual([`g.yaml:1:47: the gateway sets the header "${name.toLowerCase()}" itself`]),
  );

  test.each(['a b', 'a:', 'é', ''])('refuse the name %j', (name) =>
    expect(withHeader(name)).toEqual(['g.yaml:1:47: not a legal header name']),
  );

  test.each(['a\r\nb: c', 'a\u0000', '\u{1f600}', '\u007f'])('refuse the value %j', (value) =>
    expect(withHeader('x-a', value)).toEqual([
      expect.stringContaining('the value holds characters that a header cannot carry'),
    ]),
  );

  test('refuse one name in two spellings', () =>
    expect(lines('upstreams: [{ url: "http://a.com", headers: { X-A: "1", x-a: "2" } }]')).toEqual([
      'g.yaml:1:57: the header "x-a" is given twice',
    ]));

  test('refuse a value that is no text', () =>
    expect(lines('upstreams: [{ url: "http://a.com", headers: { X-A: 1 } }]')).toEqual([
      'g.yaml:1:52: expected text, got a whole number',
    ]));

  test.each(['Authorization', 'proxy-authorization', 'Cookie', 'x-api-key', 'X-Auth-Token', 'my-secret'])(
    'never forward %s',
    (name) =>
      expect(lines(`upstreams: [{ url: "http://a.com", forwardHeaders: [${name}] }]`)).toEqual([
        `g.yaml:1:53: "${name.toLowerCase()}" may carry a credential, which is never forwarded (give the upstream its own with headers)`,
      ]),
  );

  test.each([
    ['Authorization', 'Bearer abc'],
    ['x-api-key', 'abc'],
    ['x-other', 'sk-123'],
  ])('warn of a secret in the file: %s', (name, value) => {
    const text = `upstreams: [{ url: "http://a.com", headers: { ${name}: "${value}" } }]`;
    const [warning] = load(text).warnings;
    expect(warning).toContain(`the value of ${name} stands in the file as plain text`);
    expect(warning).toMatch(/^g\.yaml:1:/);
    expect(warning).not.toContain(value);
  });

  test('do not warn of a secret from a variable', () =>
    expect(
      load('upstreams: [{ url: "http://a.com", headers: { Authorization: "Bearer ${T}" } }]', { env: { T: 'x' } })
        .warnings,
    ).toEqual([unguarded('a')]));
});

describe('the hash', () => {
  const hash = (text: string, env = {}) => load(text, { env }).hash;

  test('is the same for any order of keys and of upstreams', () => {
    const one =
      'server: { port: 1, host: localhost }\nupstreams: [{ url: "http://a.com", headers: { a: "1", b: "2" } }, http://b.com]\n';
    const other =
      'upstreams: [http://b.com, { headers: { b: "2", a: "1" }, url: "http://a.com" }]\nserver: { host: localhost, port: 1 }\n';
    expect(hash(one)).toBe(hash(other));
    expect(hash(one)).toMatch(/^[0-9a-f]{64}$/);
  });

  test('changes with every value, secrets included', () => {
    const text = 'upstreams: [{ url: "http://a.com", headers: { k: "${K}" } }]';
    expect(hash(text, { K: '1' })).not.toBe(hash(text, { K: '2' }));
    expect(hash(ONE)).not.toBe(hash(`${ONE}server: { port: 1 }`));
    expect(hash(ONE)).toBe(hash(`${ONE}server: { port: 8080 }`));
  });
});
