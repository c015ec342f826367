import { expect, test } from 'vitest';
import { decodeEnvelope, type Envelope, encodeEnvelope } from '../../../src/cluster/envelope.js';

const principal = { id: 'a', kind: 'jwt', role: undefined, tenant: 't', claims: { x: [1] }, expiresAtMs: 5 } as const;
const WHOLE: Envelope = {
  v: 2,
  to: 'owner',
  from: 'edge',
  method: 'POST',
  path: '/a/mcp',
  query: 'x=1',
  headers: { accept: '*/*' },
  principal,
  ip: '::1',
  publicPrefix: '',
  flags: { a: 'b' },
};

test('is read as it was written', () => {
  expect(decodeEnvelope(encodeEnvelope(WHOLE))).toStrictEqual(WHOLE);
  const { flags: _, ...plain } = WHOLE;
  expect(decodeEnvelope(encodeEnvelope(plain))).toStrictEqual(plain);
});

test('stands in a header, whatever it says', () => {
  const headers = { 'x-odd': '\t"\\\r\n\0\x7f\x80ÿ', __proto__: 'not passed', '7': 'caf\u00e9' };
  const odd = { ...WHOLE, headers, principal: { ...principal, id: 'Ålice\u2028\ud800😀' } };
  const text = encodeEnvelope(odd);
  expect(text).toMatch(/^[\x21-\x7e][\x20-\x7e]*[\x21-\x7e]$/);
  expect(decodeEnvelope(text)).toStrictEqual(odd);
});

test('of another version, or with anything missing or odd, is none', () => {
  const odd: object[] = [
    ...Object.keys(WHOLE)
      .filter((key) => key !== 'flags')
      .map((key) => ({ ...WHOLE, [key]: undefined })),
    { ...WHOLE, v: 1 },
    { ...WHOLE, method: 1 },
    { ...WHOLE, headers: { a: 1 } },
    { ...WHOLE, headers: ['a'] },
    { ...WHOLE, flags: { a: 1 } },
    { ...WHOLE, flags: ['a'] },
    ...['id', 'kind', 'claims'].map((key) => ({ ...WHOLE, principal: { ...principal, [key]: undefined } })),
    { ...WHOLE, principal: { ...principal, kind: 'root' } },
    { ...WHOLE, principal: { ...principal, role: 7 } },
    { ...WHOLE, principal: { ...principal, expiresAtMs: '5' } },
    { ...WHOLE, principal: { ...principal, claims: [] } },
    [],
  ];
  expect(odd.filter((each) => decodeEnvelope(encodeEnvelope(each as Envelope)) !== undefined)).toEqual([]);
  for (const text of ['', '!!!', 'null', '{']) expect(decodeEnvelope(text)).toBeUndefined();
});
