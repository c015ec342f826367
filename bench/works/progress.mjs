/** Progress notifications of calls under way: each has to arrive, in order, before the result. */
import { progress } from '../load/calls.mjs';
import { closedLoop, openMany } from '../load/closed-loop.mjs';
import { SseSession } from '../load/sse-session.mjs';
import { ROUTES } from '../routes.mjs';
import { closeAll } from './work.mjs';

const SESSIONS = 8;
const PER_CALL = 200;

/** @type {import('./work.mjs').Work} */
export const progressSse = {
  name: 'progress',
  title: 'progress notification, HTTP+SSE, 8 calls under way',
  unit: 'notification',
  figures: ['cpuUs'],
  goals: [{ figure: 'cpuUs', against: 'plain', atMost: 1.1 }],
  mayLose: true,
  prepare: async (port) => {
    const { opened, failures } = await openMany(SESSIONS, () => SseSession.open(port, ROUTES.sse.path));
    if (failures.length > 0) throw new Error(`sessions did not open: ${failures[0]}`);
    return opened;
  },
  measure: (sessions, durationMs) => closedLoop(sessions.map(progressUnit), durationMs),
  finish: async (sessions) => closeAll(sessions),
};

/** One call; its notifications are the units, so they are what is counted. */
function progressUnit(session) {
  return async (tally) => {
    const token = session.nextId;
    let inOrder = 0;
    session.onNotification = (data) => {
      const { method, params } = JSON.parse(data.toString());
      if (method !== 'notifications/progress') return;
      if (params.progressToken !== token) tally.onWrong('a notification of another call');
      else if (params.progress !== inOrder + 1) tally.onWrong('a notification out of order');
      else tally.onRight(performance.now());
      inOrder = params.progress;
    };
    const call = progress(token, PER_CALL);
    const message = await session.call(call);
    if (!call.isRight(message)) tally.onWrong('not the answer to this call');
    if (inOrder < PER_CALL) tally.onLost('notifications were missing when the result came', PER_CALL - inOrder);
  };
}
