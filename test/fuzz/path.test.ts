/** No spelling of a path may lead to a route it does not name: exactly one configured endpoint, or none. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RouteDoor } from '../../src/downstream/client-session.js';
import { EndpointTable } from '../../src/downstream/endpoints.js';
import { HttpRefusalError } from '../../src/downstream/errors.js';
import { parseTarget } from '../../src/downstream/request-head.js';

const PREFIXES = ['sumit', 'company', 'a-b'];
const KINDS = ['sse', 'messages', 'mcp'];

/** Only its prefix matters here. */
const doors = PREFIXES.map((prefix) => ({ prefix }) as RouteDoor);
const table = new EndpointTable(doors, 'sumit');

/** The one reading of a path that counts: percent-decoded once, then compared as it is. */
function naive(url: string): string | undefined {
  const path = decodeURIComponent(url.split('?', 1)[0] ?? '');
  for (const prefix of PREFIXES)
    for (const kind of KINDS) if (path === `/${prefix}/${kind}`) return `${prefix} ${kind}`;
  for (const kind of KINDS) if (path === `/${kind}`) return `sumit ${kind}`;
  return undefined;
}

const word = fc.constantFrom(
  ...PREFIXES,
  ...KINDS,
  'SUMIT',
  'Sse',
  'status',
  '..',
  '.',
  '',
  '__proto__',
  'constructor',
);
const trick = fc.constantFrom(
  '%2f',
  '%2F',
  '%5c',
  '\\',
  '%00',
  '%2e%2e',
  '%2e',
  '..',
  ';x=1',
  '%20',
  ' ',
  '%',
  '%zz',
  '%ff',
  '%c0%af',
  '//',
  '#',
  '?',
  '&',
  '%252f',
  '%25',
  'ſ',
  '%C5%BF',
  '．',
  '/',
);
const letter = fc.stringMatching(/^[!-~]$/);
/** A letter of the prefixes as its percent-encoding, which is another spelling of the same path. */
const encodedLetter = fc
  .constantFrom(...Array.from('sumitcopanyedg'))
  .map((text) => `%${text.charCodeAt(0).toString(16)}`);
const piece = fc.oneof(word, word, trick, letter, encodedLetter);
const path = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`);
const slashed = fc.array(piece, { maxLength: 6 }).map((pieces) => `/${pieces.join('/')}`);
/** Correct paths with some of their letters encoded. */
const spelled = fc
  .tuple(
    fc.constantFrom(...PREFIXES),
    fc.constantFrom(...KINDS),
    fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }),
  )
  .map(([prefix, kind, encode]) =>
    Array.from(`/${prefix}/${kind}`)
      .map((char, index) => (encode[index] && char !== '/' ? `%${char.charCodeAt(0).toString(16)}` : char))
      .join(''),
  );
const anyUrl = fc.oneof(
  path,
  slashed,
  spelled,
  fc.string().map((text) => `/${text}`),
);

test('a path leads where its one reading leads, or is refused', () => {
  const seen = { found: 0, unknown: 0, refused: 0 };
  fc.assert(
    fc.property(anyUrl, (url) => {
      let target: string;
      try {
        target = parseTarget(url).path;
      } catch (error) {
        expect(error).toBeInstanceOf(HttpRefusalError);
        expect((error as HttpRefusalError).status).toBe(400);
        seen.refused += 1;
        return;
      }
      const endpoint = table.find(target, undefined);
      expect(endpoint === undefined ? undefined : `${endpoint.door.prefix} ${endpoint.kind}`).toBe(naive(url));
      seen[endpoint === undefined ? 'unknown' : 'found'] += 1;
    }),
    { numRuns: 50_000 },
  );
  // A generator that never found anything would have proved nothing.
  expect(Math.min(seen.found, seen.unknown, seen.refused)).toBeGreaterThan(1000);
});

test('a path that is taken holds nothing another reader could resolve', () => {
  fc.assert(
    fc.property(anyUrl, (url) => {
      let target: string;
      try {
        target = parseTarget(url).path;
      } catch {
        return;
      }
      expect(target).not.toMatch(/[\\\0]|\/\//);
      expect(target.split('/')).not.toContain('..');
      expect(target.split('/')).not.toContain('.');
      // What a browser or proxy would make of the decoded path is the path itself.
      if (/^[\w/-]*$/.test(target)) expect(new URL(target, 'http://gateway').pathname).toBe(target);
    }),
    { numRuns: 20_000 },
  );
});

test('by a host name a bare path is that route and a full path stays what it is', () => {
  fc.assert(
    fc.property(fc.constantFrom(...PREFIXES), slashed, (hostPrefix, url) => {
      let target: string;
      try {
        target = parseTarget(url).path;
      } catch {
        return;
      }
      const endpoint = table.find(target, hostPrefix);
      const bare = KINDS.find((kind) => target === `/${kind}`);
      const expected = bare === undefined ? naive(url) : `${hostPrefix} ${bare}`;
      expect(endpoint === undefined ? undefined : `${endpoint.door.prefix} ${endpoint.kind}`).toBe(expected);
    }),
    { numRuns: 20_000 },
  );
});
