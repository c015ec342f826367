import { echo } from '../load/calls.mjs';
import { MODERN_META, StatelessClient } from '../load/stateless-client.mjs';
import { ROUTES } from '../routes.mjs';
import { callsOnSessions } from './work.mjs';

/** @type {import('./work.mjs').Work} */
export const echoModern = {
  name: 'echo-modern',
  title: 'echo call, stateless 2026-07-28, 64 clients',
  unit: 'call',
  figures: ['cpuUs'],
  goals: [{ figure: 'cpuUs', against: 'plain', atMost: 0.6 }],
  without: { naive: 'its SDK does not speak 2026-07-28' },
  ...callsOnSessions({
    open: async (port) => {
      const client = new StatelessClient(port, ROUTES.modern.path);
      await client.discover();
      return client;
    },
    newCall: () => echo(MODERN_META),
    sessions: 64,
    callsPerSession: 1,
  }),
};
