import { beforeEach, describe, expect, test } from 'vitest';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import { type QuestionedSession, ServerQuestions } from '../../../src/gateway/server-questions.js';
import type { Message, RequestId } from '../../../src/protocol/message.js';
import { scanUpstream } from '../../../src/protocol/scan.js';
import type { Delivery } from '../../../src/protocol/transport.js';
import { UpstreamFailedError } from '../../../src/upstream/errors.js';

/** Longer than anything here waits. */
const TIMEOUT_MS = 60_000;

let nowMs: number;
let timers: TimerWheel;
let questions: ServerQuestions;
let session: QuestionedSession & { hasListener: boolean };
/** What the server was told, and who waits for it to be taken. */
let told: { message: Message; delivery: Delivery }[];
let dropped: RequestId[];
let changes: number;
/** By their ids at the client, with those at the server. */
let open: Map<RequestId, RequestId | undefined>;

beforeEach(() => {
  nowMs = 0;
  timers = new TimerWheel(100, 64, { now: () => nowMs, wallTimeMs: () => nowMs });
  told = [];
  dropped = [];
  changes = 0;
  open = new Map();
  session = {
    hasListener: true,
    tellServer: (message, delivery) => void told.push({ message, delivery }),
    questionDropped: (id) => void dropped.push(id),
    questionsChanged: () => {
      changes += 1;
    },
    questionOpened: ({ clientId, upstreamId }) => void open.set(clientId, upstreamId),
    questionClosed: (clientId) => void open.delete(clientId),
  };
  questions = new ServerQuestions(session, timers, TIMEOUT_MS);
});

const message = (value: object) => scanUpstream(Buffer.from(JSON.stringify(value))) as Message;
const question = (id: RequestId) =>
  message({ jsonrpc: '2.0', id, method: 'roots/list' }) as Message & { readonly id: RequestId };
const answerTo = (id: RequestId) => message({ jsonrpc: '2.0', id, result: {} });
const textsTold = () => told.map((each) => JSON.parse(each.message.raw.toString()) as object);
const refusalOf = (id: RequestId) => ({ jsonrpc: '2.0', id, error: { code: 1503, message: expect.any(String) } });

function passTime(ms: number): void {
  nowMs += ms;
  timers.advance();
}

/** Whether `work` is over once everything that can happen by itself has happened. */
async function isOver(work: Promise<void>): Promise<boolean> {
  let over = false;
  void work.then(() => (over = true));
  await new Promise(setImmediate);
  return over;
}

describe('a question is worth waiting for', () => {
  test('until its answer has reached the server', () => {
    expect(questions.isWorthWaiting).toBe(false);
    questions.ask(question(1));
    expect(questions.isWorthWaiting).toBe(true);
    expect(questions.answered(answerTo(1))).toBe(true);
    expect(textsTold()).toEqual([{ jsonrpc: '2.0', id: 1, result: {} }]);
    expect(questions.isWorthWaiting).toBe(true);
    told[0]?.delivery.accepted();
    expect(questions.isWorthWaiting).toBe(false);
    expect(changes).toBe(1);
  });

  test('unless nobody has heard it', () => {
    session.hasListener = false;
    questions.ask(question(1));
    expect(questions.isWorthWaiting).toBe(false);
  });

  test('unless the server takes it back', () => {
    questions.ask(question(1));
    expect(questions.withdrawn(1)).toBe(1);
    expect(questions.withdrawn(1)).toBeUndefined();
    expect(questions.isWorthWaiting).toBe(false);
    expect(changes).toBe(1);
  });

  test('for two seconds, and no longer because of another one', () => {
    questions.ask(question(1));
    expect(questions.isWorthWaiting).toBe(true);
    passTime(1500);
    questions.answered(answerTo(1));
    told[0]?.delivery.accepted();
    questions.ask(question(2));
    expect(questions.isWorthWaiting).toBe(true);
    const before = changes;
    passTime(600);
    expect(changes).toBe(before + 1);
    expect(questions.isWorthWaiting).toBe(false);
  });

  test('not at all when there is no time left', () => {
    questions.ask(question(1));
    questions.stopWaiting();
    expect(questions.isWorthWaiting).toBe(false);
  });
});

describe('refused', () => {
  test('are all that are open and all that come: the server and the client are told', async () => {
    questions.ask(question('a'));
    questions.ask(question('a'));
    const known = ['a', 'gw:1'];
    const refused = questions.refuseAll();
    expect(dropped).toEqual(known);
    expect(textsTold()).toEqual([refusalOf('a'), refusalOf('a')]);
    expect(questions.ask(question('late'))).toBeUndefined();
    expect(textsTold().at(-1)).toEqual(refusalOf('late'));
    expect(dropped).toEqual(known);
    for (const { delivery } of told) delivery.accepted();
    await refused;
    expect(questions.answered(answerTo('a'))).toBe(false);
    expect(timers.size).toBe(0);
  });

  test('is nothing where nothing was asked', async () => {
    await questions.refuseAll();
    expect(told).toEqual([]);
    expect(timers.size).toBe(0);
  });

  test('is over when the server has taken it, or cannot be told', async () => {
    questions.ask(question(1));
    questions.ask(question(2));
    const refused = questions.refuseAll();
    told[0]?.delivery.accepted();
    expect(await isOver(refused)).toBe(false);
    told[1]?.delivery.failed(new UpstreamFailedError('gone', 'unknown'));
    expect(await isOver(refused)).toBe(true);
  });

  test('is over soon when the server takes nothing', async () => {
    questions.ask(question(1));
    const refused = questions.refuseAll();
    expect(await isOver(refused)).toBe(false);
    passTime(700);
    expect(await isOver(refused)).toBe(true);
  });
});

describe('what another replica left open', () => {
  const LEFT = [
    { clientId: 0, upstreamId: 0 },
    { clientId: 'gw:1', upstreamId: 0 },
    { clientId: 'old', upstreamId: undefined },
  ];

  test('is answered at the session in which it was asked, once, by its own id', () => {
    questions.restore(LEFT, true);
    expect([dropped, told, questions.size]).toEqual([[], [], 2]);
    expect(questions.answered(answerTo('gw:1'))).toBe(true);
    expect(questions.answered(answerTo('gw:1'))).toBe(false);
    expect(questions.answered(answerTo('old'))).toBe(false);
    expect(textsTold()).toEqual([{ jsonrpc: '2.0', id: 0, result: {} }]);
    expect([...open]).toEqual([[0, 0]]);
  });

  test('is told to nobody where the server’s session is another one, and the client hears that it is void', () => {
    questions.restore(LEFT, false);
    expect([dropped, questions.size]).toEqual([[0, 'gw:1'], 0]);
    expect(questions.isWorthWaiting).toBe(false);
    for (const id of [0, 'gw:1', 'old']) expect(questions.answered(answerTo(id))).toBe(false);
    expect(told).toEqual([]);
    expect([...open]).toEqual([]);
  });
});

describe('a server that was lost', () => {
  test('leaves ids behind that no other question gets while an answer may come', () => {
    questions.ask(question(0));
    questions.voidAll();
    expect([dropped, questions.size, timers.size]).toEqual([[0], 0, 0]);
    expect([...open]).toEqual([[0, undefined]]);
    const asked = questions.ask(question(0));
    expect(asked?.id).toBe('gw:1');
    expect(questions.answered(answerTo(0))).toBe(false);
    expect(told).toEqual([]);
    expect(questions.answered(answerTo('gw:1'))).toBe(true);
    expect(textsTold()).toEqual([{ jsonrpc: '2.0', id: 0, result: {} }]);
    expect(open.size).toBe(0);
    expect(questions.ask(question(0))?.id).toBe(0);
  });

  test('leaves a bounded number of them behind, the newest', () => {
    for (let id = 0; id < 100; id += 1) questions.ask(question(id));
    questions.voidAll();
    expect([...open.keys()]).toEqual(Array.from({ length: 64 }, (_, index) => index + 36));
  });
});

test('a question that is not open any more is not left to another replica', () => {
  for (const id of ['answered', 'withdrawn', 'late']) questions.ask(question(id));
  questions.answered(answerTo('answered'));
  questions.withdrawn('withdrawn');
  expect([...open.keys()]).toEqual(['late']);
  passTime(TIMEOUT_MS + 200);
  expect(open.size).toBe(0);
});

test('what is cleared is told to nobody and leaves no timer behind', () => {
  questions.ask(question(1));
  expect(questions.isWorthWaiting).toBe(true);
  questions.clear();
  expect([questions.size, timers.size, told.length, changes]).toEqual([0, 0, 0, 0]);
});
