import { echo } from '../load/calls.mjs';
import { SseSession } from '../load/sse-session.mjs';
import { ROUTES } from '../routes.mjs';
import { callsOnSessions } from './work.mjs';

/** @type {import('./work.mjs').Work} */
export const echoSse = {
  name: 'echo-sse',
  title: 'echo call, HTTP+SSE, 32 sessions x 2',
  unit: 'call',
  figures: ['cpuUs'],
  goals: [
    { figure: 'cpuUs', against: 'plain', atMost: 0.8 },
    { figure: 'cpuUs', against: 'naive', atMost: 1 / 6.5 },
    { figure: 'cpuUs', of: 'ruled', against: 'gateway', atMost: 1.25 },
  ],
  ...callsOnSessions({ open: (port) => SseSession.open(port, ROUTES.sse.path), newCall: () => echo() }),
};
