import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Message, Span } from '../../src/protocol/message.js';
import { replaceSpan, scanClientBody, scanClientMessage, scanUpstream } from '../../src/protocol/scan.js';
import { InvalidMessageError, NotJsonError } from '../../src/protocol/scan-errors.js';

const numRuns = Number(process.env.FUZZ_RUNS ?? 200);
const LIMITS = { maxDepth: 64, maxTokens: 100_000 };

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Writes JSON in one of the many ways it may be written, and members in any order. */
class Writer {
  readonly #next: () => number;

  constructor(seed: number) {
    let state = seed;
    this.#next = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
  }

  write(value: Json): string {
    return this.#space() + this.#bare(value) + this.#space();
  }

  #bare(value: Json): string {
    if (typeof value === 'string') return this.#string(value);
    if (Array.isArray(value)) return `[${value.map((item) => this.write(item)).join(',') || this.#space()}]`;
    if (typeof value !== 'object' || value === null) return JSON.stringify(value);
    const members = Object.keys(value).map((key) => ({ key, rank: this.#next() }));
    members.sort((a, b) => a.rank - b.rank);
    const texts = members.map(({ key }) => {
      const item = Object.getOwnPropertyDescriptor(value, key)?.value as Json;
      return `${this.#space()}${this.#string(key)}${this.#space()}:${this.write(item)}`;
    });
    return `{${texts.join(',') || this.#space()}}`;
  }

  #string(text: string): string {
    if (this.#next() < 0.7) return JSON.stringify(text);
    const escaped = Array.from({ length: text.length }, (_, index) => {
      const unit = text.charCodeAt(index);
      // Half of a pair may not be escaped alone: the other half would be encoded alone.
      const mustEscape = unit < 0x20 || unit === 0x22 || unit === 0x5c || (unit >= 0xd800 && unit <= 0xdfff);
      return mustEscape || this.#next() < 0.5 ? `\\u${unit.toString(16).padStart(4, '0')}` : text[index];
    });
    return `"${escaped.join('')}"`;
  }

  #space(): string {
    if (this.#next() < 0.8) return '';
    return [' ', '\n', '\t', '\r', '\r\n  '][Math.floor(this.#next() * 5)] as string;
  }
}

const id = fc.oneof(
  fc.maxSafeInteger().map((value) => value + 0),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
);
const json = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.parse(JSON.stringify(value)) as Json);
const anyKeys = fc.dictionary(
  fc.string({ maxLength: 6 }).map((key) => `x-${key}`),
  json,
  { maxKeys: 4 },
);
const manyKeys = fc.dictionary(fc.string({ maxLength: 4 }), json, { maxKeys: 30 });
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });

const params = fc
  .record({
    name: maybe(fc.oneof(fc.string({ unit: 'grapheme' }), json)),
    uri: maybe(fc.webUrl()),
    requestId: maybe(fc.oneof(id, json)),
    progressToken: maybe(id),
    _meta: maybe(fc.oneof(fc.record({ progressToken: fc.oneof(id, json), other: json }), json)),
    arguments: maybe(manyKeys),
    rest: anyKeys,
  })
  .map(({ rest, ...known }) => ({ ...known, ...rest }));

const method = fc.constantFrom(
  'tools/call',
  'ping',
  'notifications/progress',
  'notifications/cancelled',
  'méthode',
  '',
);
const envelope = fc.oneof(
  fc.record({ jsonrpc: fc.constant('2.0'), id: maybe(id), method, params: maybe(params), rest: anyKeys }),
  fc.record({ jsonrpc: fc.constant('2.0'), id, result: manyKeys, rest: anyKeys }),
  fc.record({ jsonrpc: fc.constant('2.0'), id, error: manyKeys, rest: anyKeys }),
);
/** An object as `JSON.parse` would make it, and a text for it. */
const valid = fc.tuple(envelope, fc.integer()).map(([{ rest, ...known }, seed]) => {
  const value = JSON.parse(JSON.stringify({ ...known, ...rest })) as Record<string, Json>;
  return { value, text: new Writer(seed).write(value) };
});

function idOf(value: unknown): string | number | undefined {
  if (typeof value === 'string') return value;
  return Number.isSafeInteger(value) ? (value as number) : undefined;
}

/** What the scanner should say, from the parsed object. */
function factsOf(value: Record<string, Json>): Partial<Message> {
  const inner = (value.params ?? {}) as Record<string, Json>;
  const meta = inner._meta;
  const metaToken = meta !== null && typeof meta === 'object' && !Array.isArray(meta) ? meta?.progressToken : undefined;
  const isResponse = 'result' in value || 'error' in value;
  const kind = isResponse ? 'response' : 'id' in value ? 'request' : 'notification';
  const isProgress = kind === 'notification' && value.method === 'notifications/progress';
  return {
    kind,
    id: value.id as string | number | undefined,
    method: value.method as string | undefined,
    isError: 'error' in value,
    name: typeof inner.name === 'string' ? inner.name : undefined,
    uri: typeof inner.uri === 'string' ? inner.uri : undefined,
    progressToken: kind === 'request' ? idOf(metaToken) : isProgress ? idOf(inner.progressToken) : undefined,
    requestId: value.method === 'notifications/cancelled' ? idOf(inner.requestId) : undefined,
  };
}

function parseAt(message: Message, span: Span | undefined): unknown {
  return span === undefined ? undefined : JSON.parse(message.raw.toString('utf8', span.start, span.end));
}

function expectFacts(message: Message, value: Record<string, Json>): void {
  expect(message).toMatchObject(factsOf(value));
  expect(JSON.parse(message.raw.toString())).toEqual(value);
  expect(message.raw.includes('\n') || message.raw.includes('\r')).toBe(false);
  expect(message.raw[0]).toBe(0x7b);
  expect(message.raw.at(-1)).toBe(0x7d);
  expect(parseAt(message, message.idSpan)).toEqual(value.id);
  expect(parseAt(message, message.paramsSpan)).toEqual(value.params);
  expect(parseAt(message, message.resultSpan)).toEqual(value.result ?? value.error);
  expect(parseAt(message, message.requestIdSpan)).toEqual(message.requestId);
}

/** Throws on a key that comes twice in one object; slow, and as simple as can be. */
function assertUniqueKeys(text: string): void {
  const scopes: (Set<string> | undefined)[] = [];
  const token = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g;
  for (const match of text.matchAll(token)) {
    if (match[0] === '{') scopes.push(new Set());
    else if (match[0] === '[') scopes.push(undefined);
    else if (match[0] === '}' || match[0] === ']') scopes.pop();
    else if (match[1] !== undefined) {
      const key = JSON.parse(match[0].slice(0, match[0].length - match[1].length)) as string;
      const scope = scopes.at(-1);
      if (scope?.has(key)) throw new Error(`twice: ${JSON.stringify(key)}`);
      scope?.add(key);
    }
  }
}

function scanned<T>(scan: () => T): T | undefined {
  try {
    return scan();
  } catch (error) {
    if (error instanceof NotJsonError || error instanceof InvalidMessageError) return undefined;
    throw error;
  }
}

/** Breaks a text in a way that is likely to matter. */
const mutation = fc.array(
  fc.record({
    at: fc.nat(),
    drop: fc.nat({ max: 3 }),
    insert: fc.oneof(
      fc.constantFrom(
        '"',
        '\\',
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        ' ',
        '\n',
        '0',
        '-',
        '1e999',
        'null',
        '\\u0064',
        '\\ud800',
      ),
      fc.constantFrom(
        '"id":1,',
        '"id":2,',
        '"name":"x",',
        '"Name":1,',
        '"jsonrpc":"2.0",',
        '"m\\u0065thod":"x",',
        '\ufeff',
      ),
      fc.string({ maxLength: 3 }),
    ),
  }),
  { minLength: 1, maxLength: 3 },
);

function mutate(text: string, changes: readonly { at: number; drop: number; insert: string }[]): Buffer {
  let mutated = text;
  for (const { at, drop, insert } of changes) {
    const offset = at % (mutated.length + 1);
    mutated = mutated.slice(0, offset) + insert + mutated.slice(offset + drop);
  }
  return Buffer.from(mutated);
}

function expectHonest(bytes: Buffer, result: Message | readonly Message[] | undefined): void {
  if (result === undefined) return;
  const text = bytes.toString();
  const value: unknown = JSON.parse(text);
  assertUniqueKeys(text);
  const messages = Array.isArray(result) ? (result as readonly Message[]) : [result as Message];
  const values = (Array.isArray(value) ? value : [value]) as Record<string, Json>[];
  expect(messages).toHaveLength(values.length);
  for (const [index, message] of messages.entries()) expectFacts(message, values[index] as Record<string, Json>);
}

test('a valid message is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(valid, ({ value, text }) => {
      expectFacts(scanClientMessage(Buffer.from(text), LIMITS), value);
      expectFacts(scanUpstream(Buffer.from(text)) as Message, value);
    }),
    { numRuns },
  );
});

test('a valid batch is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.array(valid, { minLength: 1, maxLength: 5 }), (entries) => {
      const bytes = Buffer.from(` [${entries.map(({ text }) => text).join(',')}]\n`);
      for (const messages of [scanClientBody(bytes, LIMITS), scanUpstream(bytes)] as (readonly Message[])[]) {
        expect(messages).toHaveLength(entries.length);
        for (const [index, { value }] of entries.entries()) expectFacts(messages[index] as Message, value);
      }
    }),
    { numRuns: numRuns / 4 },
  );
});

test('a large result is skimmed to where it ends', () => {
  fc.assert(
    fc.property(manyKeys, id, fc.integer(), fc.boolean(), (inside, value, seed, isFirst) => {
      const result = new Writer(seed).write({ ...inside, '': 'p'.repeat(66_000) });
      const text = isFirst
        ? `{"result":${result},"jsonrpc":"2.0","id":${JSON.stringify(value)}}`
        : `{"jsonrpc":"2.0","id":${JSON.stringify(value)},"result":${result}}`;
      expectFacts(scanUpstream(Buffer.from(text)) as Message, JSON.parse(text) as Record<string, Json>);
    }),
    { numRuns: numRuns / 10 },
  );
});

test('what a client sends and gets accepted is the same to every parser', () => {
  fc.assert(
    fc.property(valid, mutation, ({ text }, changes) => {
      const bytes = mutate(text, changes);
      expectHonest(
        bytes,
        scanned(() => scanClientBody(bytes, LIMITS)),
      );
    }),
    { numRuns: numRuns * 2 },
  );
});

test('what an upstream sends is never more than JSON', () => {
  fc.assert(
    fc.property(valid, mutation, ({ text }, changes) => {
      const bytes = mutate(text, changes);
      if (scanned(() => scanUpstream(bytes)) !== undefined) JSON.parse(bytes.toString());
    }),
    { numRuns: numRuns * 2 },
  );
});

test('arbitrary bytes end in a message or one of two errors', () => {
  const fragments = fc
    .array(fc.constantFrom(...'{}[]",:\\0-1eE.+u "\n'.split(''), 'true', '"id"', '"jsonrpc":"2.0"', '\u00e9'), {
      maxLength: 40,
    })
    .map((pieces) => Buffer.from(pieces.join('')));
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
    fragments,
  );
  fc.assert(
    fc.property(bytes, (body) => {
      expectHonest(
        body,
        scanned(() => scanClientBody(body, LIMITS)),
      );
      scanned(() => scanUpstream(body));
    }),
    { numRuns: numRuns * 2 },
  );
});

test('JSON that is no message is refused for that, and only for that', () => {
  fc.assert(
    fc.property(json, fc.integer(), (value, seed) => {
      const text = new Writer(seed).write({ jsonrpc: '2.0', method: 'm', params: { arguments: value } });
      expect(scanClientMessage(Buffer.from(text), LIMITS).kind).toBe('notification');
      expect(() => scanClientMessage(Buffer.from(new Writer(seed).write([value])), LIMITS)).toThrow(
        InvalidMessageError,
      );
    }),
    { numRuns },
  );
});

test('the first broken byte of the grammar is found wherever it is', () => {
  fc.assert(
    fc.property(valid, fc.nat(), ({ text }, at) => {
      const bytes = Buffer.from(text.trimEnd());
      const cut = bytes.subarray(0, at % bytes.length);
      expect(() => scanClientMessage(cut, LIMITS)).toThrow(NotJsonError);
      expect(() => scanUpstream(cut)).toThrow(NotJsonError);
    }),
    { numRuns },
  );
});

test('replacing an id changes the id and nothing else', () => {
  fc.assert(
    fc.property(valid, id, ({ value, text }, replacement) => {
      fc.pre('id' in value);
      const message = scanUpstream(Buffer.from(text)) as Message;
      const edited = scanUpstream(replaceSpan(message, message.idSpan as Span, JSON.stringify(replacement)));
      expectFacts(edited as Message, { ...value, id: replacement });
    }),
    { numRuns },
  );
});
