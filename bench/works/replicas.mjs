/** What several replicas cost: what one of them writes to Redis, a call that lands on the wrong one, and calls that land anywhere. */
import { echo } from '../load/calls.mjs';
import { SseSession } from '../load/sse-session.mjs';
import { StreamableSession } from '../load/streamable-session.mjs';
import { ROUTES } from '../routes.mjs';
import { OTHER_BUILDS } from '../targets/gateway.mjs';
import { callsOnSessions } from './work.mjs';

const group = 'Replicas';
/** Processes that share a core, and a call, do fewer calls while they are warmed up than one that has both to itself. */
const warmUpUnits = 10_000;
const overSse = { open: (port) => SseSession.open(port, ROUTES.sse.path), newCall: () => echo() };
const overJson = { open: (port) => StreamableSession.open(port, ROUTES.json.path), newCall: () => echo() };
const oneByOne = { sessions: 1, callsPerSession: 1 };

const shared = {
  group,
  unit: 'call',
  warmUpUnits,
  figures: ['cpuUs'],
  targets: ['limits', 'redis', ...OTHER_BUILDS.map(({ suffix }) => `redis-other${suffix}`)],
  goals: [{ figure: 'cpuUs', of: 'redis', against: 'limits', atMost: 1.4 }],
};

/** @type {import('./work.mjs').Work} */
export const sharedSse = {
  name: 'redis-sse',
  title: 'echo call, HTTP+SSE, 32 sessions x 2',
  ...shared,
  ...callsOnSessions(overSse),
};

/** @type {import('./work.mjs').Work} */
export const sharedJson = {
  name: 'redis-json',
  isOnlyInFull: true,
  title: 'echo call, Streamable HTTP, JSON answers, 32 sessions x 2',
  ...shared,
  ...callsOnSessions(overJson),
};

const forwarded = {
  group,
  unit: 'call',
  warmUpUnits,
  figures: ['cpuUs'],
  targets: ['owner', 'other', 'edge', 'behind'],
  onlyInFull: ['edge', 'behind'],
  goals: [{ figure: 'cpuUs', of: 'other', against: 'owner', atMost: 2.2 }],
};

/** @type {import('./work.mjs').Work} */
export const forwardedSse = {
  name: 'forwarded-sse',
  isOnlyInFull: true,
  title: 'echo call, HTTP+SSE, 32 sessions x 2, all of one replica',
  ...forwarded,
  ...callsOnSessions(overSse),
};

/** @type {import('./work.mjs').Work} */
export const forwardedJson = {
  name: 'forwarded-json',
  title: 'echo call, Streamable HTTP, JSON answers, 32 sessions x 2, all of one replica',
  ...forwarded,
  ...callsOnSessions(overJson),
};

/** @type {import('./work.mjs').Work} */
export const forwardedLatency = {
  name: 'forwarded-latency',
  isOnlyInFull: true,
  title: 'latency of an echo call, Streamable HTTP, JSON answers, one session, one call at a time',
  ...forwarded,
  figures: ['p50Us'],
  goals: [{ figure: 'p50Us', of: 'other', against: 'owner', atMostMore: 1000 }],
  ...callsOnSessions({ ...overJson, ...oneByOne }),
};

/** All replicas share one core here, so more of them do not mean more calls: what is compared is what a call costs. */
/** @type {import('./work.mjs').Work} */
export const replicasBehindNginx = {
  name: 'replicas',
  isOnlyInFull: true,
  title: 'echo call, Streamable HTTP, JSON answers, 32 sessions x 2, through nginx in turn',
  group,
  unit: 'call',
  warmUpUnits,
  figures: ['cpuUs'],
  targets: ['one', 'two', 'three'],
  goals: [],
  ...callsOnSessions(overJson),
};
