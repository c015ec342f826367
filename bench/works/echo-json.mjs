import { echo } from '../load/calls.mjs';
import { StreamableSession } from '../load/streamable-session.mjs';
import { ROUTES } from '../routes.mjs';
import { callsOnSessions } from './work.mjs';

/** @type {import('./work.mjs').Work} */
export const echoJson = {
  name: 'echo-json',
  title: 'echo call, Streamable HTTP, JSON answers, 32 sessions x 2',
  unit: 'call',
  figures: ['cpuUs'],
  goals: [{ figure: 'cpuUs', against: 'plain', atMost: 0.7 }],
  ...callsOnSessions({ open: (port) => StreamableSession.open(port, ROUTES.json.path), newCall: () => echo() }),
};
