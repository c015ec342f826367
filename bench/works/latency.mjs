import { echo } from '../load/calls.mjs';
import { SseSession } from '../load/sse-session.mjs';
import { ROUTES } from '../routes.mjs';
import { callsOnSessions } from './work.mjs';

/** @type {import('./work.mjs').Work} */
export const latency = {
  name: 'latency',
  title: 'latency of an echo call, HTTP+SSE, one session, one call at a time',
  unit: 'call',
  figures: ['addedP50Us', 'addedP99Us', 'cpuUs'],
  goals: [
    { figure: 'addedP50Us', against: 'plain', atMost: 0.75 },
    { figure: 'addedP99Us', against: 'plain', atMost: 1 },
  ],
  ...callsOnSessions({
    open: (port) => SseSession.open(port, ROUTES.sse.path),
    newCall: () => echo(),
    sessions: 1,
    callsPerSession: 1,
  }),
};
