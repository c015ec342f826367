/** What is compared, in the order of the table. */
import { gateway, otherBuilds, ruled } from './gateway.mjs';
import { nginx } from './nginx.mjs';
import { REPLICA_TARGETS } from './replicas.mjs';
import { startNodeProxy } from './target.mjs';

/** @type {import('./target.mjs').Target[]} */
export const TARGETS = [
  {
    name: 'direct',
    title: 'no proxy',
    isCompiling: false,
    isOurs: true,
    start: async ({ upstreamPort }) => ({ port: upstreamPort, pids: [], stop: async () => {} }),
  },
  nginx,
  {
    name: 'plain',
    title: 'plain Node proxy',
    isCompiling: true,
    isOurs: true,
    start: ({ upstreamPort }) => startNodeProxy('plain', upstreamPort),
  },
  gateway,
  ruled,
  ...otherBuilds,
  {
    name: 'naive',
    title: 'SDK proxy under Koa',
    isCompiling: true,
    start: ({ upstreamPort }) => startNodeProxy('naive', upstreamPort),
  },
  ...REPLICA_TARGETS,
];
