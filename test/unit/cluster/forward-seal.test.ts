import { expect, test } from 'vitest';
import { decodeEnvelope, type Envelope, encodeEnvelope } from '../../../src/cluster/envelope.js';
import {
  ENVELOPE_HEADER,
  ForwardSigner,
  ForwardVerifier,
  isIntact,
  MAC_HEADER,
  type PassedHeaders,
} from '../../../src/cluster/forward-seal.js';
import { ClusterSecrets } from '../../../src/cluster/secrets.js';

const clock = { now: () => 0, wallTimeMs: () => 1_800_000_000_000 };
const keys = new ClusterSecrets(['s']).keysFor('forward');
const principal = { id: 'a', kind: 'jwt', role: undefined, tenant: 't', claims: { x: [1] }, expiresAtMs: 5 } as const;
const FACTS = { principal, ip: '::1', publicPrefix: '' };
const HEAD = { method: 'POST', path: '/a', query: '' };

function headersOf(lines: string): Record<string, string> {
  return Object.fromEntries(
    lines
      .split('\r\n')
      .filter((line) => line !== '')
      .map((line) => line.split(': ') as [string, string]),
  );
}

function signed(passed: PassedHeaders, body?: Buffer): Record<string, string> {
  return headersOf(new ForwardSigner('edge', { keys, clock }).sign(HEAD, passed, 'owner', FACTS, body));
}

const verifier = (id = 'owner') => new ForwardVerifier(id, { keys, clock });

test('says who calls, exactly as the edge knew it', () => {
  const body = Buffer.from('{}');
  const verified = verifier().verify(HEAD, signed(new Map(), body));
  expect(verified?.envelope).toMatchObject({ v: 1, to: 'owner', from: 'edge', at: clock.wallTimeMs(), ...FACTS });
  expect(verified?.envelope.principal).toStrictEqual(principal);
  expect(verified && isIntact(body, verified.envelope.body)).toBe(true);
  expect(verified && isIntact(Buffer.from('{ '), verified.envelope.body)).toBe(false);
});

test('values that move from one header or part to its neighbour are noticed', () => {
  const one = signed(
    new Map([
      ['a', 'xy'],
      ['b', 'z'],
    ]),
  );
  expect(verifier().verify(HEAD, { ...one, a: 'x', b: 'yz' })).toBeUndefined();
  expect(verifier().verify(HEAD, { ...one, a: 'xy', b: 'z' })?.headers).toEqual(
    new Map([
      ['a', 'xy'],
      ['b', 'z'],
    ]),
  );
  const moved = { ...HEAD, path: '/', query: 'a' };
  expect(verifier().verify(moved, { ...one, a: 'xy', b: 'z' })).toBeUndefined();
});

test('names of headers that are there in every object are no headers', () => {
  const sealed = signed(new Map());
  const text = `${sealed[ENVELOPE_HEADER]}constructor`;
  expect(verifier().verify(HEAD, { ...sealed, [ENVELOPE_HEADER]: text })).toBeUndefined();
  expect(verifier().verify(HEAD, {})).toBeUndefined();
  expect(verifier().verify(HEAD, { ...sealed, [MAC_HEADER]: '' })).toBeUndefined();
  expect(verifier().verify(HEAD, { ...sealed, [MAC_HEADER]: ['a', 'b'] })).toBeUndefined();
});

test('no two requests of one replica, or of two with one id, have one nonce', () => {
  const nonceOf = (sealed: Record<string, string>) =>
    decodeEnvelope(sealed[ENVELOPE_HEADER]?.split(';')[0] ?? '')?.nonce ?? '';
  const signer = new ForwardSigner('edge', { keys, clock });
  const own = Array.from({ length: 100 }, () =>
    nonceOf(headersOf(signer.sign(HEAD, new Map(), 'owner', FACTS, undefined))),
  );
  expect(new Set([...own, nonceOf(signed(new Map()))]).size).toBe(101);
});

test('a signer needs a key', () => {
  expect(() => new ForwardSigner('edge', { keys: [], clock })).toThrow(RangeError);
});

test('an envelope of another version, or with anything missing or odd, is none', () => {
  const whole: Envelope = {
    v: 1,
    to: 'owner',
    from: 'edge',
    at: 1,
    nonce: 'n',
    ...FACTS,
    flags: { a: 'b' },
    body: { bytes: 0, sha256: '' },
  };
  expect(decodeEnvelope(encodeEnvelope(whole))).toStrictEqual(whole);
  const odd: object[] = [
    ...Object.keys(whole)
      .filter((key) => key !== 'flags')
      .map((key) => ({ ...whole, [key]: undefined })),
    { ...whole, v: 2 },
    { ...whole, at: '1' },
    { ...whole, flags: { a: 1 } },
    { ...whole, flags: ['a'] },
    { ...whole, body: { bytes: -1, sha256: '' } },
    { ...whole, body: { bytes: 1.5, sha256: '' } },
    ...['id', 'kind', 'claims'].map((key) => ({ ...whole, principal: { ...principal, [key]: undefined } })),
    { ...whole, principal: { ...principal, kind: 'root' } },
    { ...whole, principal: { ...principal, role: 7 } },
    { ...whole, principal: { ...principal, expiresAtMs: '5' } },
    { ...whole, principal: { ...principal, claims: [] } },
    [],
  ];
  expect(odd.filter((each) => decodeEnvelope(encodeEnvelope(each as Envelope)) !== undefined)).toEqual([]);
  for (const text of ['', '!!!', 'bnVsbA', Buffer.from('{').toString('base64url')]) {
    expect(decodeEnvelope(text)).toBeUndefined();
  }
});
