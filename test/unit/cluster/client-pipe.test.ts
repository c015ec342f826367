import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { beforeEach, describe, expect, test } from 'vitest';
import { ClientPipe } from '../../../src/cluster/client-pipe.js';

/** What a pipe does to a response, in order. */
class FakeResponse extends EventEmitter {
  readonly log: string[] = [];
  readonly req: { readonly method: string };
  destroyed = false;
  headersSent = false;
  writableLength = 0;
  /** What `write` says. */
  hasRoom = true;

  constructor(method: string) {
    super();
    this.req = { method };
  }

  writeHead(status: number, headers: string[]): void {
    this.headersSent = true;
    this.log.push(`head ${status} ${headers.join(' ')}`);
  }

  flushHeaders(): void {
    this.log.push('flush');
  }

  write(chunk: Buffer): boolean {
    this.log.push(`write ${chunk.toString()}`);
    return this.hasRoom;
  }

  end(text?: string | Buffer): void {
    this.log.push(text === undefined ? 'end' : `end ${text.toString()}`);
  }

  setTimeout(timeoutMs: number): void {
    this.log.push(`timeout ${timeoutMs}`);
  }

  destroy(): void {
    this.destroyed = true;
    this.log.push('destroy');
  }
}

let response: FakeResponse;
let calls: string[];
let outcomes: string[];
let pipe: ClientPipe;

function start(method = 'GET', extra: string[] = []): void {
  response = new FakeResponse(method);
  calls = [];
  outcomes = [];
  pipe = new ClientPipe(response as unknown as ServerResponse, extra, {
    onNotOwner: () => outcomes.push('not-owner'),
    onFailure: ({ phase }) => outcomes.push(phase),
    onDone: () => outcomes.push('done'),
  });
  const note = (what: string) => () => {
    calls.push(what);
  };
  pipe.onStart({ bytesSent: true, pause: note('pause'), resume: note('resume'), abort: note('abort') });
}

function head(headers: Record<string, string>, status = 200): void {
  pipe.onHead(status, {
    get: (name) => headers[name],
    pick: (names) => Object.entries(headers).flatMap((field) => (names.has(field[0]) ? field : [])),
  });
}

const EVENTS = { 'content-type': 'text/event-stream' };
const data = (text: string): void => pipe.onData(Buffer.from(text));

beforeEach(() => start());

describe('an answer of known length', () => {
  test('that came in one piece goes out in one', () => {
    start('POST', ['vary', 'origin']);
    head({ 'content-length': '2', 'content-type': 'application/json', 'x-other': '1' }, 201);
    data('{}');
    expect(response.log).toEqual([]);
    pipe.onEnd();
    expect(response.log).toEqual(['head 201 content-length 2 content-type application/json vary origin', 'end {}']);
    expect(outcomes).toEqual(['done']);
  });

  test('that came in pieces goes on as it comes', () => {
    head({ 'content-length': '4' });
    data('{"');
    data('":');
    pipe.onEnd();
    expect(response.log).toEqual(['head 200 content-length 4', 'write {"', 'write ":', 'end']);
  });

  test('that stops while nothing was said leaves the answer to the caller', () => {
    head({ 'content-length': '2' });
    data('{}');
    pipe.onFailure({ phase: 'answering', reason: 'reset' });
    expect(response.log).toEqual([]);
    expect(outcomes).toEqual(['answering']);
  });

  test('that stops half-way is cut', () => {
    head({ 'content-length': '4' });
    data('{"');
    pipe.onFailure({ phase: 'answering', reason: 'reset' });
    expect(response.log.at(-1)).toBe('destroy');
  });
});

test('an answer without a body has a head', () => {
  head({ 'content-length': '0', 'mcp-session-id': 'x' }, 202);
  pipe.onEnd();
  expect(response.log).toEqual(['head 202 content-length 0 mcp-session-id x', 'end']);
});

test('a client that takes no more pauses the peer, and is given up when that lasts', () => {
  head(EVENTS);
  response.hasRoom = false;
  data('data: 1\n\n');
  expect(calls).toEqual(['pause']);
  expect(response.log.at(-1)).toBe('timeout 10000');
  response.emit('drain');
  expect(calls).toEqual(['pause', 'resume']);
  expect(response.log.at(-1)).toBe('timeout 0');
});

test('a client that goes away ends the call, before and after the head', () => {
  response.emit('close');
  expect([calls, outcomes]).toEqual([['abort'], ['done']]);
  start();
  head(EVENTS);
  response.emit('close');
  data('data: 1\n\n');
  pipe.onEnd();
  expect(response.log.slice(2)).toEqual([]);
  expect([calls, outcomes]).toEqual([['abort'], ['done']]);
});

test('a response that closes after its end aborts nothing', () => {
  head({ 'content-length': '0' });
  pipe.onEnd();
  response.emit('close');
  expect([calls, outcomes]).toEqual([[], ['done']]);
});

test('a peer that does not own the session leaves the response untouched', () => {
  pipe.onNotOwner();
  expect(response.log).toEqual([]);
  expect(outcomes).toEqual(['not-owner']);
  expect(response.listenerCount('close') + response.listenerCount('drain')).toBe(0);
});

describe('an event stream that is told to end', () => {
  const LAST = 'retry: 1\n\n';
  const text = (): string =>
    response.log
      .filter((line) => /^(write|end)/.test(line))
      .map((line) => line.replace(/^(write|end) ?/, ''))
      .join('');

  test('does so at once between two events', () => {
    head(EVENTS);
    data('data: 1\n\n');
    pipe.endAtBoundary(LAST);
    expect(response.log.at(-1)).toBe(`end ${LAST}`);
    expect([calls, outcomes]).toEqual([['abort'], ['done']]);
    data('data: 2\n\n');
    expect(text()).toBe(`data: 1\n\n${LAST}`);
  });

  test.each([
    [['\n', 'x']],
    [['\n\ndata: 3\n\n']],
    [['', '\n', '\ndata: 3']],
    [['rest\n\n']],
    [['re', 'st\n', '\n']],
    [['\n\n\n']],
  ])('waits for the end of an event that comes as %j', (pieces) => {
    head(EVENTS);
    const begun = pieces[0] === '\n' ? 'data: 2\n' : 'data: 2';
    data(`data: 1\n\n${begun}`);
    pipe.endAtBoundary(LAST);
    expect(calls).toEqual([]);
    for (const piece of pieces) data(piece);
    const whole = `${begun}${pieces.join('')}`;
    expect(text()).toBe(`data: 1\n\n${whole.slice(0, whole.indexOf('\n\n') + 2)}${LAST}`);
    expect(calls).toEqual(['abort']);
  });

  test('and has said nothing yet ends at once when it can be opened again, and with its first event when not', () => {
    head(EVENTS);
    pipe.endAtBoundary(LAST);
    expect(text()).toBe(LAST);
    start('POST');
    head(EVENTS);
    pipe.endAtBoundary(LAST);
    expect(text()).toBe('');
    data('id: 1\n\n');
    expect(text()).toBe(`id: 1\n\n${LAST}`);
  });

  test('before its head came ends when it comes', () => {
    pipe.endAtBoundary(LAST);
    expect(response.log).toEqual([]);
    head(EVENTS);
    expect(text()).toBe(LAST);
  });

  test('is not ended by words for another kind of answer', () => {
    pipe.endAtBoundary(LAST);
    head({ 'content-length': '2' });
    data('{}');
    pipe.onEnd();
    expect(text()).toBe('{}');
  });
});
