/** Gateways that share a Redis, and the same gateway without one. Only the gateways are measured, not Redis nor what spreads calls over them. */
import { LOAD_CORE, PROXY_CORE, stop, untilReady, untilTrue } from '../runner/child.mjs';
import { missingRedis, startRedis } from '../runner/redis.mjs';
import { OTHER_BUILDS, plainConfiguration, startGateway } from './gateway.mjs';
import { missingNginx, startNginx } from './nginx.mjs';

const SHARED_WORKS = ['redis-sse', 'redis-json'];
const FORWARDED_WORKS = ['forwarded-sse', 'forwarded-json', 'forwarded-latency'];
const FORWARDED_CALLS = ['forwarded-sse', 'forwarded-json'];
const SECRET = 'what the replicas of a benchmark share';

const LIMITS = `rateLimits:
  limits:
    - { name: per-caller, per: [principal], limit: 100000000/h }
    - { name: per-tool, per: [principal, tool], limit: 100000000/h }
`;

/** @type {import('./target.mjs').Target[]} */
export const REPLICA_TARGETS = [
  {
    ...target('limits', 'in memory, with limits', SHARED_WORKS),
    // Nothing to compare it with.
    missing: missingRedis,
    start: async (run) => {
      const { port, child } = await startGateway('limits', (free) => memoryConfiguration(free, run), run);
      return { port, pids: [child.pid], stop: () => stop(child) };
    },
  },
  {
    ...target('redis', 'on Redis, with limits', SHARED_WORKS),
    start: async (run) => inFront(await startReplicas('redis', 1, run, LIMITS)),
  },
  ...OTHER_BUILDS.map(({ suffix, main }) => ({
    ...target(`redis-other${suffix}`, 'the same, another build', SHARED_WORKS),
    start: async (run) => inFront(await startReplicas(`redis-other${suffix}`, 1, run, LIMITS, [], main)),
  })),
  {
    ...target('owner', 'two replicas, calls at the owner', FORWARDED_WORKS),
    start: async (run) => inFront(await startReplicas('owner', 2, run)),
  },
  {
    ...target('other', 'two replicas, calls at the other', FORWARDED_WORKS),
    start: async (run) => atTheOther(await startReplicas('other', 2, run)),
  },
  // One of the two alone, with the core to itself: less waits for it at once there, so that each call costs more.
  {
    ...target('edge', 'the same: the other, alone on its core', FORWARDED_CALLS),
    start: async (run) => {
      const replicas = await startReplicas('edge', 2, run, '', [LOAD_CORE, PROXY_CORE]);
      return { ...atTheOther(replicas), pids: replicas.pids.slice(1) };
    },
  },
  {
    ...target('behind', 'the same: the owner, alone on its core', FORWARDED_CALLS),
    start: async (run) => {
      const replicas = await startReplicas('behind', 2, run, '', [PROXY_CORE, LOAD_CORE]);
      return { ...atTheOther(replicas), pids: replicas.pids.slice(0, 1) };
    },
  },
  ...['one', 'two', 'three'].map(balanced),
];

function target(name, title, works) {
  return { name, title, works, isCompiling: true, isOurs: true, missing: missingRedis };
}

function balanced(name, index) {
  return {
    ...target(name, `${name} behind nginx`, ['replicas']),
    missing: () => missingRedis() ?? missingNginx(),
    start: async (run) => {
      const replicas = await startReplicas(name, index + 1, run);
      try {
        const { port, child } = await startNginx({ name, ports: replicas.ports, dir: run.dir, core: LOAD_CORE });
        await untilReady(`http://127.0.0.1:${port}/readyz`, (status) => status === 200, child);
        return { port, pids: replicas.pids, stop: () => Promise.all([stop(child), replicas.stop()]) };
      } catch (error) {
        await replicas.stop();
        throw error;
      }
    },
  };
}

function inFront({ ports, pids, stop: stopAll }) {
  return { port: ports[0], pids, stop: stopAll };
}

/** Calls go to one that does not own their sessions. */
function atTheOther(replicas) {
  return { ...inFront(replicas), port: replicas.ports[1], openPort: replicas.ports[0] };
}

/** Resolves when each knows all others. */
async function startReplicas(name, count, run, more = '', cores = [], main) {
  const redis = await startRedis();
  const children = [];
  const stopAll = async () => {
    await Promise.all(children.map(stop));
    await redis.stop();
  };
  const ports = [];
  try {
    for (let index = 1; index <= count; index += 1) {
      const configuration = (port) => sharedConfiguration(port, run, redis.url) + more;
      const { port, child } = await startGateway(`${name}-${index}`, configuration, run, {
        core: cores[index - 1],
        main,
      });
      ports.push(port);
      children.push(child);
    }
    await untilTrue('all replicas know each other', async () => {
      const known = await Promise.all(ports.map(replicasKnownAt));
      return known.every((length) => length === count);
    });
    return { ports, pids: children.map(({ pid }) => pid), stop: stopAll };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

async function replicasKnownAt(port) {
  const response = await fetch(`http://127.0.0.1:${port}/status`);
  const { replicas } = await response.json();
  return replicas?.length;
}

function memoryConfiguration(port, { upstreamPort, dir }) {
  return plainConfiguration(port, upstreamPort, dir) + LIMITS;
}

function sharedConfiguration(port, { upstreamPort, dir }, url) {
  return `${plainConfiguration(port, upstreamPort, dir)}redis: { url: "${url}", required: true }
cluster: { listen: "127.0.0.1:0", secret: "${SECRET}" }
`;
}
