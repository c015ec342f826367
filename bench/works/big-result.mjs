import { big } from '../load/calls.mjs';
import { SseSession } from '../load/sse-session.mjs';
import { ROUTES } from '../routes.mjs';
import { callsOnSessions } from './work.mjs';

/** @type {import('./work.mjs').Work} */
export const bigResult = {
  name: 'big-result',
  title: '1 MiB result, HTTP+SSE, 4 sessions',
  unit: 'result',
  figures: ['cpuUs'],
  goals: [{ figure: 'cpuUs', against: 'plain', atMost: 2 }],
  ...callsOnSessions({
    open: (port) => SseSession.open(port, ROUTES.sse.path),
    newCall: big,
    sessions: 4,
    callsPerSession: 1,
  }),
};
