/** All works, in the order of the table. A new one is a file here and a line in this list. */
import { bigResult } from './big-result.mjs';
import { echoEvents } from './echo-events.mjs';
import { echoJson } from './echo-json.mjs';
import { echoModern } from './echo-modern.mjs';
import { echoSse } from './echo-sse.mjs';
import { idleMemory } from './idle-memory.mjs';
import { latency } from './latency.mjs';
import { progressSse } from './progress.mjs';
import {
  forwardedJson,
  forwardedLatency,
  forwardedSse,
  replicasBehindNginx,
  sharedJson,
  sharedSse,
} from './replicas.mjs';
import { setupSse, setupStreamable } from './setup.mjs';
import { toolsListSse } from './tools-list.mjs';

/** @type {import('./work.mjs').Work[]} */
export const WORKS = [
  echoSse,
  echoJson,
  echoEvents,
  echoModern,
  setupSse,
  setupStreamable,
  toolsListSse,
  bigResult,
  progressSse,
  latency,
  idleMemory,
  sharedSse,
  sharedJson,
  forwardedSse,
  forwardedJson,
  forwardedLatency,
  replicasBehindNginx,
];

/** @param {string} name */
export function findWork(name) {
  const work = WORKS.find((candidate) => candidate.name === name);
  if (work === undefined)
    throw new Error(`there is no work "${name}"; there are: ${WORKS.map((w) => w.name).join(', ')}`);
  return work;
}
