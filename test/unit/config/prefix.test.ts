import { stringify } from 'yaml';
import { describe, expect, test } from 'vitest';
import { PREFIX_PATTERN } from '../../../src/upstream/options.js';
import { derivePrefix, RESERVED_PREFIXES } from '../../../src/config/prefix.js';
import { lines, load } from './helpers.js';

describe('a prefix is derived from', () => {
  test.each([
    ['https://mcp.sumit.com/sms/sse', 'sumit'],
    ['https://api.company.com/v1/sse', 'company'],
    ['https://domain.com/sse', 'domain'],
    ['https://mcp.acme.co.uk/sse', 'acme'],
    ['https://shop.vercel.app/sse', 'shop'],
    ['https://a.b.shop.vercel.app/sse', 'shop'],
    ['https://user.github.io', 'user'],
    ['https://MCP.Sumit.COM:8443/sse', 'sumit'],
    ['https://mcp.sumit.com./sse', 'sumit'],
    ['http://localhost:3000/sse', 'localhost'],
    ['http://mcp.internal/sse', 'mcp'],
    ['http://tools.prod.svc.cluster.local/sse', 'tools'],
    ['http://my_service/sse', 'my-service'],
    ['http://127.0.0.1:9101/sse', 'ip-127-0-0-1'],
    ['http://[::1]:80/sse', 'ip-0-0-0-0-0-0-0-1'],
    ['http://[2001:db8::2]/sse', 'ip-2001-db8-0-0-0-0-0-2'],
    ['https://bücher.example/sse', 'xn-bcher-kva'],
    ['https://vercel.app/sse', 'vercel'],
    ['https://city.kawasaki.jp/', 'city'],
  ])('%s: %s', (url, prefix) => {
    expect(derivePrefix(url)).toBe(prefix);
    expect(prefix).toMatch(PREFIX_PATTERN);
  });
});

describe('two upstreams with one prefix are refused', () => {
  /** Pastes what was proposed. */
  function proposals(urls: string[]): string[] {
    return lines(stringify({ upstreams: urls })).map((line) => /prefix: ([a-z0-9-]+) \}\)$/.exec(line)?.[1] ?? line);
  }

  test('with lines to paste', () => {
    expect(lines('upstreams:\n  - https://mcp.sumit.com/sms/sse\n  - url: https://mcp.sumit.com/voice/sse\n')).toEqual([
      'g.yaml:2:5: the prefix "sumit" is also that of g.yaml:3:5 (write: - { url: "https://mcp.sumit.com/sms/sse", prefix: sumit-sms })',
      'g.yaml:3:5: the prefix "sumit" is also that of g.yaml:2:5 (write: prefix: sumit-voice)',
    ]);
  });

  test.each([
    ['by path', ['https://mcp.sumit.com/sms/sse', 'https://mcp.sumit.com/voice/sse'], ['sumit-sms', 'sumit-voice']],
    ['by deeper path', ['https://s.com/a/b', 'https://s.com/a/c'], ['s-a-b', 's-a-c']],
    ['by host', ['https://eu.sumit.com/sse', 'https://us.sumit.com/sse'], ['sumit-eu', 'sumit-us']],
    ['by suffix', ['https://acme.com/sse', 'https://acme.co.uk/sse'], ['acme-com', 'acme-co-uk']],
    ['by port', ['http://localhost:1/sse', 'http://localhost:2/sse'], ['localhost-1', 'localhost-2']],
    ['by number', ['http://localhost/sse', 'http://localhost/sse'], ['localhost-2', 'localhost-3']],
    ['without taking another name', ['https://s.com/a', 'https://s.com/b', 'https://s-a.com'], ['s-com-a', 's-com-b']],
  ])('and told apart %s', (_name, urls, expected) => {
    expect(proposals(urls)).toEqual(expected);
    const pasted = urls.map((url, index) => ({
      url,
      ...(expected[index] === undefined ? {} : { prefix: expected[index] }),
    }));
    expect(load(stringify({ upstreams: pasted })).upstreams).toHaveLength(urls.length);
  });

  test('where the one that asked for the name keeps it', () =>
    expect(lines('upstreams:\n  - { url: "https://a.com/x", prefix: sumit }\n  - https://sumit.com/sms\n')).toEqual([
      'g.yaml:3:5: the prefix "sumit" is also that of g.yaml:2:39 (write: - { url: "https://sumit.com/sms", prefix: sumit-sms })',
    ]));

  test('without repeating a URL that may hold a secret', () => {
    const found = lines('upstreams:\n  - https://a.com/x?key=canary\n  - ${U}\n', {
      env: { U: 'https://a.com/canary' },
    });
    expect(found).toHaveLength(2);
    expect(found.join()).not.toMatch(/key=canary|a\.com\/canary/);
    expect(found.join()).toContain('<this URL>');
  });
});

test.each([...RESERVED_PREFIXES])('%s is reserved', (prefix) => {
  expect(lines(`upstreams: [{ url: "https://a.com/x", prefix: ${prefix} }]`)).toEqual([
    `g.yaml:1:47: the prefix "${prefix}" is reserved for the gateway (write: prefix: ${prefix}-x)`,
  ]);
});

test('a reserved name that is derived is refused, with a proposal', () =>
  expect(lines('upstreams: [https://status.com/a]')).toEqual([
    'g.yaml:1:13: the prefix "status" is reserved for the gateway (write: - { url: "https://status.com/a", prefix: status-a })',
  ]));

test('mcp is not reserved', () =>
  expect(load('upstreams: [http://mcp.internal/sse]').upstreams[0]?.prefix).toBe('mcp'));
