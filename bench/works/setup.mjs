/** What a session costs that does nothing: opened, initialized, closed, on connections of its own. */
import { closedLoop } from '../load/closed-loop.mjs';
import { SseSession } from '../load/sse-session.mjs';
import { StreamableSession } from '../load/streamable-session.mjs';
import { ROUTES } from '../routes.mjs';

const LOOPS = 16;

/** @type {import('./work.mjs').Work} */
export const setupSse = {
  name: 'setup-sse',
  title: 'session set-up, HTTP+SSE (open, initialize, initialized, close)',
  ...setUp(async (port) => {
    const session = await SseSession.open(port, ROUTES.sse.path);
    session.close();
  }),
};

/** @type {import('./work.mjs').Work} */
export const setupStreamable = {
  name: 'setup-streamable',
  title: 'session set-up, Streamable HTTP (initialize, initialized, DELETE)',
  ...setUp(async (port) => {
    const session = await StreamableSession.open(port, ROUTES.json.path);
    await session.end();
  }),
};

function setUp(openAndClose) {
  const unit = (port) => async (tally) => {
    const startedAtMs = performance.now();
    await openAndClose(port);
    tally.onRight(startedAtMs);
  };
  return {
    unit: 'session',
    figures: ['cpuUs'],
    goals: [{ figure: 'cpuUs', against: 'plain', atMost: 0.8 }],
    prepare: async (port) => port,
    measure: (port, durationMs) =>
      closedLoop(
        Array.from({ length: LOOPS }, () => unit(port)),
        durationMs,
      ),
    finish: async () => {},
  };
}
