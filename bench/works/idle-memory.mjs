/** Memory of sessions that are open and do nothing. Each has to answer once more at the end. */
import { echo } from '../load/calls.mjs';
import { callUnit, openMany } from '../load/closed-loop.mjs';
import { SseSession } from '../load/sse-session.mjs';
import { Tally } from '../load/tally.mjs';
import { ROUTES } from '../routes.mjs';
import { closeAll } from './work.mjs';

const WARM_UP_SESSIONS = 200;
/** Long enough for what the opening left behind to be let go. */
const SETTLE_MS = 2000;

/** @type {import('./work.mjs').Work} */
export const idleMemory = {
  name: 'idle-memory',
  title: 'memory of an idle session, HTTP+SSE',
  unit: 'session',
  figures: ['rssKb'],
  goals: [{ figure: 'rssKb', against: 'plain', atMost: 0.95 }],
  isFreshEachRound: true,
  onlyInFull: ['naive'],
  /** Sessions opened and closed first, so that what a process allocates once does not count. */
  prepare: async (port, { idleSessions }) => {
    const { opened } = await openMany(WARM_UP_SESSIONS, () => openIdle(port));
    closeAll(opened);
    await settle();
    return { port, idleSessions, sessions: [] };
  },
  measure: async (state) => {
    const { opened, failures } = await openMany(state.idleSessions, () => openIdle(state.port));
    state.sessions = opened;
    await settle();
    return { right: opened.length, wrong: 0, lost: failures.length, firstFailure: failures[0] };
  },
  finish: async ({ sessions }) => {
    const tally = new Tally();
    const unit = (session) => callUnit(session, () => echo())(tally);
    const { failures } = await openMany(sessions.length, (index) => unit(sessions[index - 1]));
    closeAll(sessions);
    return { wrong: tally.wrong, lost: failures.length, firstFailure: failures[0] ?? tally.firstFailure };
  },
};

async function openIdle(port) {
  const session = await SseSession.open(port, ROUTES.sse.path);
  session.closePosts();
  return session;
}

function settle() {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}
