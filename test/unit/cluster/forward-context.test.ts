import { describe, expect, test } from 'vitest';
import { decodeEnvelope } from '../../../src/cluster/envelope.js';
import { ForwardContext, type ForwardHead } from '../../../src/cluster/forward-context.js';

const principal = { id: 'a', kind: 'jwt', role: undefined, tenant: 't', claims: {}, expiresAtMs: 5 } as const;
const HEAD: ForwardHead = {
  method: 'POST',
  path: '/a/mcp',
  query: '',
  headers: { accept: '*/*', 'mcp-session-id': 'mine', 'content-length': '40', authorization: 'Bearer t' },
  facts: { principal, ip: '::1', publicPrefix: '' },
};

const contextOf = (head = HEAD) => new ForwardContext('edge', 'owner', head);

test('says all of a request but its body, and no header that is for this replica alone', () => {
  expect(decodeEnvelope(contextOf().text)).toEqual({
    v: 2,
    to: 'owner',
    from: 'edge',
    method: 'POST',
    path: '/a/mcp',
    query: '',
    headers: { accept: '*/*', 'mcp-session-id': 'mine' },
    principal: { id: 'a', kind: 'jwt', role: undefined, tenant: 't', claims: {}, expiresAtMs: 5 },
    ip: '::1',
    publicPrefix: '',
  });
});

test('what is said in other words has another digest', () => {
  expect(contextOf().digest).toBe(contextOf().digest);
  expect(contextOf({ ...HEAD, path: '/b/mcp' }).digest).not.toBe(contextOf().digest);
});

describe('fits', () => {
  const { headers, facts } = HEAD;

  test.each<[string, ForwardHead]>([
    ['the same', HEAD],
    ['its equal', { ...HEAD, headers: { ...headers }, facts: { ...facts } }],
    ['one with a body of another length', { ...HEAD, headers: { ...headers, 'content-length': '41' } }],
  ])('%s', (_, head) => {
    expect(contextOf().fits('owner', head)).toBe(true);
  });

  test.each<[string, ForwardHead]>([
    ['method', { ...HEAD, method: 'GET' }],
    ['path', { ...HEAD, path: '/b/mcp' }],
    ['query', { ...HEAD, query: 'a' }],
    ['caller', { ...HEAD, facts: { ...facts, principal: { ...principal } } }],
    ['address', { ...HEAD, facts: { ...facts, ip: '::2' } }],
    ['prefix', { ...HEAD, facts: { ...facts, publicPrefix: '/x' } }],
    ['header', { ...HEAD, headers: { ...headers, accept: 'application/json' } }],
    ['number of headers, one more', { ...HEAD, headers: { ...headers, 'x-more': '1' } }],
    ['number of headers, one less', { ...HEAD, headers: { accept: '*/*', 'mcp-session-id': 'mine' } }],
    ['name of a header', { ...HEAD, headers: { accept: '*/*', 'x-id': 'mine', 'content-length': '40', a: 'b' } }],
    ['set of flags', { ...HEAD, facts: { ...facts, flags: { take: '1' } } }],
  ])('no request with another %s', (_, head) => {
    expect(contextOf().fits('owner', head)).toBe(false);
  });

  test('no other replica', () => {
    expect(contextOf().fits('other', HEAD)).toBe(false);
  });

  test('nothing when it was made with flags, which are for one request', () => {
    const flagged = { ...HEAD, facts: { ...facts, flags: { take: '1' } } };
    expect(contextOf(flagged).fits('owner', flagged)).toBe(false);
  });
});
