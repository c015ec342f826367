import { toolsList } from '../load/calls.mjs';
import { SseSession } from '../load/sse-session.mjs';
import { ROUTES } from '../routes.mjs';
import { callsOnSessions } from './work.mjs';

/** @type {import('./work.mjs').Work} */
export const toolsListSse = {
  name: 'tools-list',
  title: 'tools/list of 204 tools (96 kB), HTTP+SSE, 8 sessions',
  unit: 'list',
  figures: ['cpuUs'],
  goals: [{ figure: 'cpuUs', of: 'ruled', against: 'gateway', atMost: 1.5 }],
  ...callsOnSessions({
    open: (port) => SseSession.open(port, ROUTES.sse.path),
    newCall: toolsList,
    sessions: 8,
    callsPerSession: 1,
  }),
};
