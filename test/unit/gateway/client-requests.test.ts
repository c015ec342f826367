/** What becomes of a client's request until it is let through, or refused. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Logger } from '../../../src/core/logger.js';
import { ClientHandshake } from '../../../src/gateway/client-handshake.js';
import { ClientRequests } from '../../../src/gateway/client-requests.js';
import type { ClientRequest } from '../../../src/gateway/policies/gate.js';
import type { RouteRules } from '../../../src/gateway/policies/rules.js';
import type { RequestClock } from '../../../src/metrics/request-clock.js';
import type { CompiledPolicy } from '../../../src/policy/decision.js';
import { createToolPins } from '../../../src/policy/tool-pins.js';
import { OverloadedError, SessionMovedError, SessionUnknownError } from '../../../src/protocol/session-errors.js';
import type { ClientStream } from '../../../src/protocol/transport.js';
import type { LimitRefusal, RateLimits } from '../../../src/rate-limit/limiter.js';
import { SessionRecord } from '../../../src/session/session-record.js';
import { ALICE, requestOf } from './support.js';

const PING = requestOf('ping');
const LIST = requestOf('tools/list', { id: 'list' });
const INITIALIZE = requestOf('initialize', { params: { clientInfo: { name: 'test', version: '1' } } });
const CALLER = { principal: ALICE, ip: '', headers: {} };
const UNGOVERNED: RouteRules = {
  route: 'test',
  policy: undefined,
  defaultRole: undefined,
  limits: undefined,
  pins: createToolPins('off'),
  expose: { tools: true, resources: true, prompts: true },
  audit: undefined,
  decisions: undefined,
};

/** What happened, in order. */
let log: string[];
let rules: RouteRules;
let isInitialized: boolean;
let departed: Promise<void> | undefined;
/** What the next request that is let through ends with instead. */
let noPlace: Error | undefined;
let requests: ClientRequests;

beforeEach(() => {
  log = [];
  rules = UNGOVERNED;
  isInitialized = true;
  departed = undefined;
  noPlace = undefined;
  const record = new SessionRecord('id', 'streamable-http', ALICE, 0, { openedAtMs: 0, epoch: 1 });
  const handshake = newHandshake(record);
  const runner = {
    start: (request: ClientRequest) => {
      if (noPlace !== undefined) throw noPlace;
      if (request.method === 'initialize') handshake.began();
      log.push(`started ${request.method}`);
    },
  };
  const tenure = {
    get departed() {
      return departed;
    },
    departIfQuiet: () => void log.push(`may depart, ${requests.judging} judged`),
  };
  requests = new ClientRequests(newRoute(), { record, handshake, runner, tenure });
});

function newHandshake(record: SessionRecord): ClientHandshake {
  const route = {
    upstream: { candidates: [], fingerprint: '' },
    sessions: { sessions: [] },
    stateless: { doubt: () => {} },
  };
  const session = { record, onInitialized: () => {}, close: (reason: string) => void log.push(`closed: ${reason}`) };
  const server = {
    get isInitialized() {
      return isInitialized;
    },
    continue: () => {},
  };
  return new ClientHandshake(route, session, server, undefined);
}

function newRoute(): ConstructorParameters<typeof ClientRequests>[0] {
  return {
    logger: { warn: () => {}, error: (event: string) => log.push(event) } as unknown as Logger,
    requestClock: { arrivedAtMs: 0 } as RequestClock,
    get rules() {
      return rules;
    },
    requestAnsweredHere: (method, outcome) => void log.push(`${method} answered here: ${outcome}`),
    requestDenied: (method) => void log.push(`${method} denied`),
    requestRefused: (method, error) => void log.push(`${method} refused: ${(error as Error).constructor.name}`),
  };
}

const stream = {
  answer: ({ id }) => void log.push(`told the answer to ${id}`),
  refuse: (id, error) => void log.push(`told that ${id} is refused: ${(error as Error).constructor.name}`),
} as Partial<ClientStream> as ClientStream;

const receive = (request: ClientRequest) => requests.receive(request, stream, CALLER);

/** Every verdict waits for a limit, until this is called. */
function waitForLimits(): (exceeded?: LimitRefusal) => Promise<void> {
  let decide!: (exceeded: LimitRefusal | undefined) => void;
  const due = new Promise<LimitRefusal | undefined>((resolve) => {
    decide = resolve;
  });
  rules = { ...UNGOVERNED, limits: { hasLimits: true, takeAll: () => due } as Partial<RateLimits> as RateLimits };
  return async (exceeded) => {
    decide(exceeded);
    await new Promise(setImmediate);
  };
}

describe('at once', () => {
  test('a request that may pass is started, and its caller is known', () => {
    receive(LIST);
    expect(log).toEqual(['started tools/list']);
    expect(requests.lastContext).toMatchObject({ caller: CALLER, era: 'legacy', client: undefined });
    expect(requests.judging).toBe(0);
  });

  test('a ping before the handshake is answered here', () => {
    isInitialized = false;
    receive(PING);
    expect(log).toEqual(['told the answer to 1', 'ping answered here: ok']);
  });

  test('what finds no place is refused, and that is measured', () => {
    noPlace = new OverloadedError('full', 1000);
    expect(() => receive(LIST)).toThrow(noPlace);
    expect(log).toEqual(['tools/list refused: OverloadedError']);
  });

  test('what the rules forbid is answered', () => {
    rules = { ...UNGOVERNED, expose: { tools: false, resources: true, prompts: true } };
    receive(LIST);
    expect(log).toEqual(['told the answer to list', 'tools/list denied']);
  });

  test('nothing is taken any more once no more are to come', () => {
    requests.refuseMore();
    expect(() => receive(LIST)).toThrow(SessionUnknownError);
    expect(log).toEqual(['tools/list refused: SessionUnknownError']);
  });

  test('a session that departs takes pings alone; what moves on is not measured here', () => {
    departed = Promise.resolve();
    expect(() => receive(LIST)).toThrow(SessionMovedError);
    expect(log).toEqual([]);
    receive(PING);
    expect(log).toEqual(['started ping']);
  });
});

describe('a client', () => {
  test('is asked who it is where a policy may want to know', () => {
    isInitialized = false;
    rules = {
      ...UNGOVERNED,
      policy: { decide: () => ({ effect: 'allow', layer: 'default' }) } as unknown as CompiledPolicy,
    };
    receive(INITIALIZE);
    expect(requests.lastContext?.client).toEqual({ name: 'test', version: '1' });
  });

  test('is asked nothing where nobody wants to know', () => {
    isInitialized = false;
    receive(INITIALIZE);
    expect(requests.lastContext?.client).toBeUndefined();
  });
});

describe('after a wait', () => {
  test('a request that may pass is started, and counts as judged until then', async () => {
    const decide = waitForLimits();
    receive(LIST);
    expect(requests.judging).toBe(1);
    expect(log).toEqual([]);
    await decide();
    expect(log).toEqual(['started tools/list', 'may depart, 0 judged']);
  });

  test('one that has to wait is answered', async () => {
    const decide = waitForLimits();
    receive(LIST);
    await decide({ limit: 'test', retryAfterMs: 1000 });
    expect(log).toEqual(['told the answer to list', 'tools/list denied', 'may depart, 0 judged']);
  });

  test('a refusal is told to the client, since nobody is there to catch it', async () => {
    const decide = waitForLimits();
    noPlace = new OverloadedError('full', 1000);
    receive(LIST);
    await decide();
    expect(log).toEqual([
      'told that list is refused: OverloadedError',
      'tools/list refused: OverloadedError',
      'may depart, 0 judged',
    ]);
  });

  test('of two handshakes one goes on', async () => {
    isInitialized = false;
    const decide = waitForLimits();
    receive(INITIALIZE);
    receive(requestOf('initialize', { id: 2 }));
    expect(requests.judging).toBe(2);
    await decide();
    expect(log).toContain('started initialize');
    expect(log).toContain('told that 2 is refused: SessionProtocolError');
    expect(log.filter((line) => line.startsWith('started'))).toHaveLength(1);
  });

  test('a refused handshake ends the session that it did not open', async () => {
    isInitialized = false;
    const decide = waitForLimits();
    receive(INITIALIZE);
    await decide({ limit: 'test', retryAfterMs: 1000 });
    expect(log).toEqual([
      'told that 1 is refused: RateLimitedError',
      'initialize refused: RateLimitedError',
      'may depart, 0 judged',
      'closed: it was never initialized',
    ]);
  });
});
