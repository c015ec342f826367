import { describe, expect, test } from 'vitest';
import { lines, load, unguarded } from './helpers.js';

describe('the map of a client', () => {
  test('is taken as it is', () => {
    const text = JSON.stringify({
      mcpServers: {
        'My Weather_2': {
          type: 'http',
          url: 'https://w.com/mcp',
          headers: { Authorization: 'Bearer ${env:T}' },
          timeout: 600_000,
        },
        events: { type: 'sse', url: '${U}', disabled: false },
        local: { command: 'npx', args: ['x'], disabled: true },
        any: { url: 'https://any.com', timeout: 2000 },
      },
    });
    const { upstreams, warnings } = load(text, { env: { T: 'abc', U: 'https://e.com/sse' } });
    expect(upstreams.map(({ prefix, url, transport }) => [prefix, url, transport])).toEqual([
      ['my-weather-2', 'https://w.com/mcp', 'streamable-http'],
      ['events', 'https://e.com/sse', 'sse'],
      ['any', 'https://any.com/', 'auto'],
    ]);
    expect(upstreams[0]?.headers).toEqual({ authorization: 'Bearer abc' });
    expect(upstreams[0]?.timeouts).toEqual({ connectMs: 5000, idleMs: 600_000, totalMs: 600_000 });
    expect(upstreams[2]?.timeouts).toEqual({ connectMs: 5000, idleMs: 300_000, totalMs: 2000 });
    expect(warnings).toEqual([unguarded('my-weather-2', 'events', 'any')]);
  });

  test.each(['streamable-http', 'streamableHttp', 'http'])('knows the type %s', (type) =>
    expect(load(`mcpServers: { a: { type: ${type}, url: "http://a.com" } }`).upstreams[0]?.transport).toBe(
      'streamable-http',
    ),
  );

  test('of VS Code is called servers and may have inputs', () => {
    const { upstreams, warnings } = load('servers: { a: { type: http, url: "http://a.com" } }\ninputs: [{ id: x }]\n');
    expect(upstreams.map((each) => each.prefix)).toEqual(['a']);
    expect(warnings).toEqual(['inputs is ignored: the gateway asks nobody; use environment variables', unguarded('a')]);
  });

  test('has keys that are ignored with a warning', () =>
    expect(
      load('mcpServers:\n  a:\n    url: http://a.com\n    autoApprove: [x]\n    alwaysAllow: []\n    timeout: 60\n')
        .warnings,
    ).toEqual([
      'g.yaml:4:5: autoApprove is ignored: approval is the business of the client',
      'g.yaml:5:5: alwaysAllow is ignored: approval is the business of the client',
      'g.yaml:6:14: timeout counts milliseconds, so calls are cut after 60 ms',
      unguarded('a'),
    ]));

  test('stands beside upstreams', () =>
    expect(
      load('upstreams: [http://a.com]\nmcpServers: { b: { url: "http://b.com" } }').upstreams.map(
        (each) => each.prefix,
      ),
    ).toEqual(['a', 'b']));
});

test.each([
  [
    'a stdio server',
    'mcpServers:\n  fs: { command: npx }\n',
    'g.yaml:2:9: stdio upstreams are not supported by this version (give a url, or set disabled: true)',
  ],
  [
    'an unknown key',
    'mcpServers:\n  a: { url: "http://a.com", cwd: /x }\n',
    'g.yaml:2:29: unknown key "cwd" (known here: type, url, headers, timeout, disabled, autoApprove, alwaysAllow)',
  ],
  [
    'an unknown type',
    'mcpServers:\n  a: { url: "http://a.com", type: stdio }\n',
    'g.yaml:2:35: must be one of sse, http, streamable-http, streamableHttp',
  ],
  [
    'a key without any letter',
    'mcpServers:\n  "***": { url: "http://a.com" }\n',
    'g.yaml:2:3: no prefix can be made from the key "***"',
  ],
  [
    'a reserved key',
    'mcpServers:\n  status: { url: "http://a.com/x" }\n',
    'g.yaml:2:3: the prefix "status" is reserved for the gateway (rename the key: "status-x")',
  ],
  ['a list', 'mcpServers: []\n', 'g.yaml:1:13: expected keys and values, got a list'],
  ['an entry that is text', 'mcpServers:\n  a: http://a.com\n', 'g.yaml:2:6: expected keys and values, got text'],
  [
    'a prompted input',
    'servers:\n  a: { url: "http://a.com", headers: { k: "${input:key}" } }\n',
    'g.yaml:2:43: prompted inputs are not supported (use an environment variable: ${NAME})',
  ],
])('refuses %s', (_name, text, expected) => expect(lines(text)).toEqual([expected]));

test('refuses two keys that make one prefix', () =>
  expect(lines('mcpServers:\n  A b: { url: "http://a.com/x" }\n  a-b: { url: "http://a.com/y" }\n')).toEqual([
    'g.yaml:3:3: the prefix "a-b" is also that of g.yaml:2:3 (rename the key: "a-b-y")',
  ]));
