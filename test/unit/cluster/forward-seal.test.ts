import { describe, expect, test } from 'vitest';
import { ForwardContext, type ForwardHead } from '../../../src/cluster/forward-context.js';
import {
  ENVELOPE_HEADER,
  ForwardSigner,
  ForwardVerifier,
  isIntact,
  SEAL_HEADER,
} from '../../../src/cluster/forward-seal.js';
import { ClusterSecrets } from '../../../src/cluster/secrets.js';

const clock = { now: () => 0, wallTimeMs: () => 1_800_000_000_000 };
const keys = new ClusterSecrets(['s']).keysFor('forward');
const principal = { id: 'a', kind: 'jwt', role: undefined, tenant: 't', claims: { x: [1] }, expiresAtMs: 5 } as const;
const FACTS = { principal, ip: '::1', publicPrefix: '' };
const HEAD: ForwardHead = { method: 'POST', path: '/a', query: 'q=1', headers: { accept: '*/*' }, facts: FACTS };
const TARGET = '/a?q=1';

type Sealed = Readonly<Record<string, string>>;

function headersOf(lines: string): Sealed {
  return Object.fromEntries(
    lines
      .split('\r\n')
      .filter((line) => line !== '')
      .map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]),
  );
}

function signed({ body, signer = new ForwardSigner({ keys, clock }), head = HEAD, to = 'owner' } = {} as Signing) {
  return headersOf(signer.sign(new ForwardContext('edge', to, head), body));
}

interface Signing {
  readonly body?: Buffer;
  readonly signer?: ForwardSigner;
  readonly head?: ForwardHead;
  readonly to?: string;
}

const verifier = () => new ForwardVerifier('owner', { keys, clock });

test('says who calls, exactly as the edge knew it', () => {
  const body = Buffer.from('{}');
  const verified = verifier().verify('POST', TARGET, signed({ body }));
  expect(verified?.envelope).toMatchObject({ v: 2, to: 'owner', from: 'edge', headers: { accept: '*/*' }, ...FACTS });
  expect(verified?.envelope.principal).toStrictEqual(principal);
  expect(verified && isIntact(body, verified.body)).toBe(true);
  expect(verified && isIntact(Buffer.from('{ '), verified.body)).toBe(false);
  expect(verified && isIntact(Buffer.from('{}}'), verified.body)).toBe(false);
});

test('is good once, also when its envelope is known already', () => {
  const one = verifier();
  const signer = new ForwardSigner({ keys, clock });
  const first = signed({ signer });
  const second = signed({ signer });
  expect(second[ENVELOPE_HEADER]).toBe(first[ENVELOPE_HEADER]);
  expect(one.verify('POST', TARGET, first)).toBeDefined();
  expect(one.verify('POST', TARGET, first)).toBeUndefined();
  expect(one.verify('POST', TARGET, second)?.envelope).toBe(one.verify('POST', TARGET, signed({ signer }))?.envelope);
  expect(one.verify('POST', TARGET, second)).toBeUndefined();
});

describe.each([
  ['for the first time', false],
  ['when its envelope is known', true],
])('refused %s is', (_, isKnown) => {
  function refuses(change: (sealed: Sealed) => Sealed, method = 'POST', target = TARGET): boolean {
    const one = verifier();
    if (isKnown) expect(one.verify('POST', TARGET, signed())).toBeDefined();
    return one.verify(method, target, change(signed())) === undefined;
  }
  const same = (sealed: Sealed) => sealed;

  test('another method, path or query than the envelope says', () => {
    expect(refuses(same, 'GET')).toBe(true);
    expect(refuses(same, 'POST', '/a')).toBe(true);
    expect(refuses(same, 'POST', '/a?q=1?')).toBe(true);
    expect(refuses(same)).toBe(false);
  });

  test('a seal with anything changed, moved or missing', () => {
    const [at = '', nonce = '', bytes = '', digest = '', mac = ''] = signed()[SEAL_HEADER]?.split('.') ?? [];
    expect(mac).not.toBe('');
    const seals = [
      `${at}0.${nonce}.${bytes}.${digest}.${mac}`,
      `${at}.${nonce}0.${bytes}.${digest}.${mac}`,
      `${at}.${nonce}.1.${digest}.${mac}`,
      `${at}.${nonce}.${bytes}.A.${mac}`,
      `${at}.${nonce}.${bytes}.${digest}.${mac.slice(1)}`,
      `${at}.${nonce}.${bytes}.${digest}.`,
      `${at}.${nonce}.${bytes}.${digest}`,
      mac,
      `.${mac}`,
      '',
    ];
    const accepted = seals.filter((seal) => !refuses((sealed) => ({ ...sealed, [SEAL_HEADER]: seal })));
    expect(accepted).toEqual([]);
  });

  test('a seal that belongs to another envelope', () => {
    const other = signed({ head: { ...HEAD, headers: { accept: 'text/plain' } } });
    expect(refuses((sealed) => ({ ...sealed, [SEAL_HEADER]: other[SEAL_HEADER] ?? '' }))).toBe(true);
  });

  test('one of the two headers alone, or twice', () => {
    const one = verifier();
    const sealed = signed();
    expect(one.verify('POST', TARGET, {})).toBeUndefined();
    expect(one.verify('POST', TARGET, { ...sealed, [ENVELOPE_HEADER]: undefined })).toBeUndefined();
    expect(one.verify('POST', TARGET, { ...sealed, [SEAL_HEADER]: ['a', 'b'] })).toBeUndefined();
  });
});

test('what is meant for another replica is refused each time', () => {
  const one = verifier();
  const signer = new ForwardSigner({ keys, clock });
  expect(one.verify('POST', TARGET, signed({ signer, to: 'another' }))).toBeUndefined();
  expect(one.verify('POST', TARGET, signed({ signer, to: 'another' }))).toBeUndefined();
});

test('what another secret has sealed is never remembered', () => {
  const strange = new ClusterSecrets(['other']).keysFor('forward');
  const one = verifier();
  const forged = signed({ signer: new ForwardSigner({ keys: strange, clock }) });
  expect(one.verify('POST', TARGET, forged)).toBeUndefined();
  expect(one.verify('POST', TARGET, { ...signed(), [SEAL_HEADER]: forged[SEAL_HEADER] ?? '' })).toBeUndefined();
  expect(one.verify('POST', TARGET, signed())).toBeDefined();
});

test('no two requests of one replica, or of two with one id, have one nonce', () => {
  const nonceOf = (sealed: Sealed) => sealed[SEAL_HEADER]?.split('.')[1] ?? '';
  const signer = new ForwardSigner({ keys, clock });
  const own = Array.from({ length: 100 }, () => nonceOf(signed({ signer })));
  expect(new Set([...own, nonceOf(signed())]).size).toBe(101);
});

test('a signer needs a key', () => {
  expect(() => new ForwardSigner({ keys: [], clock })).toThrow(RangeError);
});
