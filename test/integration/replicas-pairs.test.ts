/** Three replicas behind a load balancer that knows nothing keep the contract that one gateway keeps. */
import { describe } from 'vitest';
import { startRedis } from '../helpers/redis.js';
import { startReplicas } from '../helpers/replicas.js';
import { describePairs, type StartGateway } from './pairs-contract.js';
import { CLIENT_KINDS } from './sessions-support.js';

const startThreeReplicas: StartGateway = async (config) => {
  const redis = await startRedis();
  const fleet = await startReplicas({ count: 3, redis, config });
  return {
    url: fleet.url,
    stop: async () => {
      await fleet.stop();
      await redis.stop();
    },
  };
};

describe.each(CLIENT_KINDS)('%s client', (kind) => {
  describePairs(kind, startThreeReplicas);
});
