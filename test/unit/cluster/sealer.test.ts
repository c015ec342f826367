import { describe, expect, test } from 'vitest';
import { Sealer } from '../../../src/cluster/sealer.js';
import { ClusterSecrets } from '../../../src/cluster/secrets.js';

const sealerOf = (...secrets: string[]): Sealer => new Sealer(new ClusterSecrets(secrets).keysFor('payload'));
const PLAIN = Buffer.from('the state of a session');

/** Two secrets whose derived keys have the same id. */
function collidingSecrets(): [string, string] {
  const seen = new Map<number, string>();
  for (let index = 0; ; index += 1) {
    const secret = `secret ${index}`;
    const keyId = new ClusterSecrets([secret]).keysFor('payload')[0]?.keyId ?? -1;
    const earlier = seen.get(keyId);
    if (earlier !== undefined) return [earlier, secret];
    seen.set(keyId, secret);
  }
}

test('opens what another replica sealed, also when it is empty', () => {
  for (const plain of [PLAIN, Buffer.alloc(0), Buffer.alloc(100_000, 7)]) {
    const opened = sealerOf('a').open(sealerOf('a').seal(plain, 'session x'), 'session x');
    expect(opened?.equals(plain)).toBe(true);
  }
});

test('never seals one text the same way twice, and shows nothing of it', () => {
  const sealer = sealerOf('a');
  const sealed = Array.from({ length: 100 }, () => sealer.seal(PLAIN, 'x').toString('latin1'));
  expect(new Set(sealed.map((each) => each.slice(1, 15))).size).toBe(100);
  expect(sealed.some((each) => each.includes('session'))).toBe(false);
  const prefixOf = (text: Buffer): string => text.toString('hex', 1, 9);
  expect(prefixOf(sealerOf('a').seal(PLAIN, 'x'))).not.toBe(prefixOf(sealerOf('a').seal(PLAIN, 'x')));
});

test('uses no byte of its key stream twice, however long the texts are', () => {
  const sealer = sealerOf('a');
  const zeros = [1, 15, 16, 17, 0, 33, 70_000, 5].map((length) => Buffer.alloc(length));
  const sealed = zeros.map((plain) => sealer.seal(plain, 'x'));
  // Of zeros the key bytes themselves are left: put together they are one stream without a gap.
  let end = 0;
  for (const each of sealed) {
    expect(each.readUIntBE(9, 6)).toBe(end);
    end += each.length - 31;
  }
  const stream = Buffer.concat(sealed.map((each) => each.subarray(15, -16)));
  const blocks = Array.from({ length: Math.floor(stream.length / 16) }, (_, block) =>
    stream.toString('hex', block * 16, block * 16 + 16),
  );
  expect(new Set(blocks).size).toBe(blocks.length);
  for (const [index, each] of sealed.entries()) expect(sealer.open(each, 'x')).toEqual(zeros[index]);
});

test('does not open in another context or under another secret', () => {
  const sealed = sealerOf('a').seal(PLAIN, 'session x');
  expect(sealerOf('a').open(sealed, 'session y')).toBeUndefined();
  expect(sealerOf('a').open(sealed, '')).toBeUndefined();
  expect(sealerOf('b').open(sealed, 'session x')).toBeUndefined();
});

test('does not open with any one bit changed, with bytes missing, or with more of them', () => {
  const sealer = sealerOf('a');
  const sealed = sealer.seal(PLAIN, 'x');
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const changed = Buffer.from(sealed);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(sealer.open(changed, 'x')).toBeUndefined();
  }
  for (let length = 0; length < sealed.length; length += 1) {
    expect(sealer.open(sealed.subarray(0, length), 'x')).toBeUndefined();
  }
  expect(sealer.open(Buffer.concat([sealed, Buffer.of(0)]), 'x')).toBeUndefined();
});

describe('while secrets rotate', () => {
  test('both orders open what either sealed', () => {
    const [before, during, after] = [sealerOf('old'), sealerOf('old', 'new'), sealerOf('new', 'old')];
    for (const sealing of [before, during, after]) {
      const sealed = sealing.seal(PLAIN, 'x');
      for (const opening of [during, after]) expect(opening.open(sealed, 'x')).toEqual(PLAIN);
    }
    expect(before.open(after.seal(PLAIN, 'x'), 'x')).toBeUndefined();
  });

  test('two secrets whose keys share an id both open', () => {
    const [one, other] = collidingSecrets();
    const both = sealerOf(one, other);
    for (const secret of [one, other]) expect(both.open(sealerOf(secret).seal(PLAIN, 'x'), 'x')).toEqual(PLAIN);
    expect(sealerOf(one).open(sealerOf(other).seal(PLAIN, 'x'), 'x')).toBeUndefined();
  });
});

test('needs a key', () => {
  expect(() => new Sealer([])).toThrow(RangeError);
});
