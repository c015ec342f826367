import { expect, test, vi } from 'vitest';
import type { RouteDoor } from '../../../src/downstream/client-session.js';
import type { HttpExchange } from '../../../src/downstream/http-exchange.js';
import { whenAdmitted } from '../../../src/downstream/stream-admission.js';
import { RateLimitedError, SessionUnknownError } from '../../../src/protocol/session-errors.js';
import { ALICE, FakeResponse } from '../gateway/support.js';

function visit(admitStream: RouteDoor['admitStream'], more: Partial<HttpExchange> = {}) {
  const response = new FakeResponse();
  const exchange = { response, headers: [], caller: { principal: ALICE }, ...more } as unknown as HttpExchange;
  const begin = vi.fn();
  const come = () => whenAdmitted(exchange, { admitStream } as unknown as RouteDoor, begin);
  return { response, begin, come };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('begins at once when no store has to be waited for', () => {
  const { begin, come } = visit(() => undefined);
  come();
  expect(begin).toHaveBeenCalledOnce();
});

test('a refusal that comes later is the answer', async () => {
  const { response, begin, come } = visit(() => Promise.reject(new RateLimitedError(2000, undefined)));
  come();
  await settled();
  expect(response.status).toBe(429);
  expect(begin).not.toHaveBeenCalled();
});

test('what goes wrong at the beginning is the answer, too', async () => {
  const { response, begin, come } = visit(() => Promise.resolve(undefined));
  begin.mockImplementation(() => {
    throw new SessionUnknownError();
  });
  come();
  await settled();
  expect(response.status).toBe(404);
});

test('a client that left meanwhile opens nothing', async () => {
  const { response, begin, come } = visit(() => Promise.resolve(undefined));
  come();
  response.destroy();
  await settled();
  expect(begin).not.toHaveBeenCalled();
});

test('an answer that has begun is not refused, and takes nothing', () => {
  const admit = vi.fn();
  const { begin, come } = visit(admit, { isAnswerOpen: true });
  come();
  expect(begin).toHaveBeenCalledOnce();
  expect(admit).not.toHaveBeenCalled();
});
