import { echo } from '../load/calls.mjs';
import { StreamableSession } from '../load/streamable-session.mjs';
import { ROUTES } from '../routes.mjs';
import { callsOnSessions } from './work.mjs';

/** @type {import('./work.mjs').Work} */
export const echoEvents = {
  name: 'echo-events',
  title: 'echo call, Streamable HTTP, SSE answers, 32 sessions x 2',
  unit: 'call',
  figures: ['cpuUs'],
  goals: [
    { figure: 'cpuUs', against: 'plain', atMost: 0.65 },
    { figure: 'cpuUs', against: 'naive', atMost: 1 / 9 },
  ],
  ...callsOnSessions({ open: (port) => StreamableSession.open(port, ROUTES.events.path), newCall: () => echo() }),
};
