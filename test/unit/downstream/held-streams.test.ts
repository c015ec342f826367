/** What a stream says goes to the client after the journal has sent it, whatever happens to the stream in between. */
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { beforeEach, expect, test } from 'vitest';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import { BufferBudget } from '../../../src/downstream/buffer-budget.js';
import { SessionStreams } from '../../../src/downstream/session-streams.js';
import { ownNotification } from '../../../src/protocol/json-rpc.js';
import type { StreamJournal } from '../../../src/protocol/stream-journal.js';
import { Turn } from '../../../src/redis/turn.js';

let log: string[];
let turn: Turn;
let streams: SessionStreams;

/** Writes down what it is told when the turn is over. */
class SlowJournal implements StreamJournal {
  #gathered: string[] = [];

  opened(stream: number): void {
    this.#add(`opened ${stream}`);
  }

  said(_stream: number, _isGeneral: boolean, { sequence }: { readonly sequence: number }): void {
    this.#add(`said ${sequence}`);
  }

  attached(stream: number): void {
    this.#add(`attached ${stream}`);
  }

  finished(stream: number): void {
    this.#add(`finished ${stream}`);
  }

  keepFrom(): void {}

  whenSent(work: () => void): void {
    turn.whenSent(work);
  }

  sendNow(): void {
    turn.end();
  }

  #add(what: string): void {
    this.#gathered.push(what);
    turn.gather(this.#send);
  }

  readonly #send = (): void => {
    log.push(...this.#gathered);
    this.#gathered = [];
  };
}

class FakeResponse extends EventEmitter {
  writableNeedDrain = false;
  isFull = false;
  readonly #name: string;

  constructor(name: string) {
    super();
    this.#name = name;
  }

  write(bytes: Buffer | string): boolean {
    log.push(...this.#read(bytes));
    return !this.isFull;
  }

  end(bytes: Buffer | string = ''): void {
    log.push(...this.#read(bytes), `${this.#name}: end`);
  }

  destroy(): void {
    log.push(`${this.#name}: cut`);
    this.emit('close');
  }

  drain(): void {
    this.isFull = false;
    this.emit('drain');
  }

  #read(bytes: Buffer | string): string[] {
    const text = bytes.toString();
    const events = [...text.matchAll(/^id: session\.(\d+)$/gm)].map(([, sequence]) => `${this.#name}: ${sequence}`);
    return events.length === 0 && text !== '' ? [`${this.#name}: ${text}`] : events;
  }
}

beforeEach(() => {
  log = [];
  turn = new Turn();
  const timers = new TimerWheel(100, 64, { now: () => 0, wallTimeMs: () => 0 });
  const listener = { detached: () => {}, attached: () => {}, pressed: () => {}, close: () => {} };
  const options = { timers, budget: new BufferBudget(1_000_000), bufferBytes: 10_000 };
  streams = new SessionStreams('session', options, listener);
  streams.keepJournal(new SlowJournal());
});

function attachGeneral(name: string, after?: number): FakeResponse {
  const response = new FakeResponse(name);
  streams.attachGeneral(response as unknown as ServerResponse, after);
  return response;
}

/** A client that has been there since before this turn. */
function attached(): FakeResponse {
  const response = attachGeneral('client');
  turn.end();
  log.length = 0;
  return response;
}

const say = () => streams.general.send(ownNotification('notifications/message', {}));

test('the journal is sent before the client gets anything, and everything in order', () => {
  attached();
  say();
  say();
  expect(log).toEqual([]);
  turn.end();
  expect(log).toEqual(['said 1', 'said 2', 'client: 1', 'client: 2']);
});

test('of two streams the one that spoke first is written first, after the journal of both', () => {
  attached();
  const reply = streams.openReply([{ id: 1, isToolCall: false }]);
  const response = new FakeResponse('other');
  reply.attach(response as unknown as ServerResponse);
  turn.end();
  log.length = 0;
  reply.send(ownNotification('notifications/message', {}));
  say();
  turn.end();
  expect(log).toEqual(['said 2', 'said 3', 'other: 2', 'client: 3']);
});

test('what was said before the session is closed still comes, after it was written down', () => {
  attached();
  say();
  streams.closeAll();
  expect(log).toEqual(['said 1', 'client: 1', 'client: end']);
  turn.end();
  expect(log.length).toBe(3);
});

test('last words come behind what was said before them', () => {
  attached();
  say();
  streams.disconnectAll('retry: 1\n\n');
  expect(log).toEqual(['said 1', 'client: 1', 'client: retry: 1\n\n', 'client: end']);
});

test('an answer ends its connection when it has been written down that it is complete', () => {
  const reply = streams.openReply([{ id: 1, isToolCall: false }]);
  const response = new FakeResponse('client');
  reply.attach(response as unknown as ServerResponse);
  reply.send(ownNotification('notifications/message', {}));
  reply.finish();
  expect(log).toEqual([]);
  turn.end();
  expect(log).toEqual(['opened 0', 'said 1', 'finished 0', 'client: 1', 'client: end']);
});

test('a reader that makes room again gets nothing that is not written down', () => {
  const response = attached();
  response.isFull = true;
  say();
  turn.end();
  say();
  turn.end();
  say();
  response.drain();
  expect(log).toEqual(['said 1', 'client: 1', 'said 2']);
  turn.end();
  expect(log).toEqual(['said 1', 'client: 1', 'said 2', 'said 3', 'client: 2', 'client: 3']);
});

test('a client that is cut off in between gets it over its next connection, once', () => {
  attached().destroy();
  log.length = 0;
  const next = attachGeneral('next');
  say();
  next.emit('close');
  turn.end();
  expect(log).toEqual(['said 1']);
  attachGeneral('last');
  expect(log).toEqual(['said 1']);
  turn.end();
  expect(log).toEqual(['said 1', 'attached 0', 'last: 1']);
});

test('a connection that takes the place of another one carries what neither has had', () => {
  attached();
  say();
  attachGeneral('next', 0);
  turn.end();
  expect(log).toEqual(['client: cut', 'said 1', 'attached 0', 'next: 1']);
});

test('what another replica is told of a stream is what the client has had', () => {
  attached();
  say();
  expect(streams.snapshots).toMatchObject([{ waiting: 0 }]);
  expect(log).toEqual(['said 1', 'client: 1']);
});

test('who must not come before what was written down comes behind it, and at once when nothing was', () => {
  attached();
  say();
  streams.whenSent(() => log.push('taken'));
  turn.end();
  streams.whenSent(() => log.push('taken at once'));
  expect(log).toEqual(['said 1', 'client: 1', 'taken', 'taken at once']);
});
