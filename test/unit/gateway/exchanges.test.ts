import { describe, expect, test } from 'vitest';
import type { Message, RequestId } from '../../../src/protocol/message.js';
import { scanUpstream } from '../../../src/protocol/scan.js';
import type { ClientStream } from '../../../src/protocol/transport.js';
import { UpstreamFailedError } from '../../../src/upstream/errors.js';
import { Exchange, type ExchangeOwner } from '../../../src/gateway/exchange.js';
import { Exchanges } from '../../../src/gateway/exchanges.js';
import type { Grant } from '../../../src/gateway/policies/grant.js';

const LOST = new UpstreamFailedError('lost', 'unknown');

/** What a session does with exchanges, and no more: it takes them off the list when they are settled. */
class Session implements ExchangeOwner {
  readonly exchanges = new Exchanges();
  readonly answered: RequestId[] = [];

  add(id: RequestId, progressToken?: string): Exchange {
    const params = progressToken === undefined ? {} : { _meta: { progressToken } };
    const request = scanUpstream(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method: 'prompts/get', params })));
    const stream = { answer: (message: Message) => this.answered.push(message.id ?? '') };
    const exchange = new Exchange(
      this,
      request as Message & { readonly id: RequestId; readonly method: string },
      this.exchanges.upstreamIdFor(id),
      stream as Partial<ClientStream> as ClientStream,
      { idleMs: 1000, totalMs: 1000 },
      { context: { era: 'legacy' } } as Grant,
      { arrivedAtMs: 0, waitedMs: 0 },
    );
    this.exchanges.add(exchange);
    return exchange;
  }

  settled(exchange: Exchange): void {
    this.exchanges.remove(exchange);
  }

  closed(): void {}

  timedOut(): void {}

  isWaitingForClient(): boolean {
    return false;
  }

  now(): number {
    return 0;
  }

  schedule(): { cancel(): void } {
    return { cancel: () => {} };
  }
}

describe('ids', () => {
  test('pass unchanged, and only one that is in flight is replaced', () => {
    const session = new Session();
    expect(session.add(1).upstreamId).toBe(1);
    expect(session.add('1').upstreamId).toBe('1');
    expect(session.add(1).upstreamId).toBe('gw:r1');
    expect(session.add(1).upstreamId).toBe('gw:r2');
  });

  test('can be used again when the exchange is over', () => {
    const session = new Session();
    session.add(1).failed(LOST);
    expect(session.exchanges.size).toBe(0);
    expect(session.add(1).upstreamId).toBe(1);
  });

  test('of ours are not given twice, also when a client has thought of the same', () => {
    const session = new Session();
    session.add('gw:r1');
    session.add(1);
    expect(session.add(1).upstreamId).toBe('gw:r2');
  });
});

describe('an exchange is found', () => {
  test('by the id the upstream knows', () => {
    const session = new Session();
    const first = session.add(1);
    const second = session.add(1);
    expect(session.exchanges.byUpstreamId(1)).toBe(first);
    expect(session.exchanges.byUpstreamId('gw:r1')).toBe(second);
    expect(session.exchanges.byUpstreamId(2)).toBeUndefined();
  });

  test('by the id the client knows: of several, the newest', () => {
    const session = new Session();
    session.add(1);
    const second = session.add(1);
    session.add(2);
    expect(session.exchanges.byClientId(1)).toBe(second);
    expect(session.exchanges.byClientId('gw:r1')).toBeUndefined();
  });

  test('by its progress token, which goes to the one that came with it last', () => {
    const session = new Session();
    const first = session.add(1, 'token');
    const second = session.add(2, 'token');
    first.failed(LOST);
    expect(session.exchanges.byProgressToken('token')).toBe(second);
    second.failed(LOST);
    expect(session.exchanges.byProgressToken('token')).toBeUndefined();
  });

  test('as the newest, also after that one is over', () => {
    const session = new Session();
    const first = session.add(1);
    const second = session.add(2);
    expect(session.exchanges.newest).toBe(second);
    second.failed(LOST);
    expect(session.exchanges.newest).toBe(first);
    first.failed(LOST);
    expect(session.exchanges.newest).toBeUndefined();
  });
});

describe('all of them', () => {
  test('fail with their connection, each under the id its client gave it', () => {
    const session = new Session();
    for (const id of [1, 1, 2]) session.add(id);
    session.exchanges.fail(LOST);
    expect(session.answered).toEqual([1, 1, 2]);
    expect(session.exchanges.size).toBe(0);
  });

  test('are paused and resumed, and end with their session', () => {
    const session = new Session();
    const log: string[] = [];
    for (const id of [1, 2]) {
      const note = (what: string) => () => void log.push(`${what} ${id}`);
      session.add(id).call = { pause: note('pause'), resume: note('resume'), abort: note('abort') };
    }
    session.exchanges.pause();
    session.exchanges.resume();
    session.exchanges.end(LOST);
    expect(log).toEqual(['pause 1', 'pause 2', 'resume 1', 'resume 2', 'abort 1', 'abort 2']);
    expect(session.answered).toEqual([1, 2]);
    expect(session.exchanges.size).toBe(0);
  });
});
