/** Links to a test's redis-server, and what they log. */
import { systemClock } from '../../src/core/clock.js';
import { createLogger } from '../../src/core/logger.js';
import { RedisLink } from '../../src/redis/link.js';
import { redisSchema } from '../../src/redis/options.js';
import { PassThrough } from 'node:stream';

export interface TestLink {
  readonly link: RedisLink;
  /** What was logged, one JSON object per line. */
  readonly log: () => string;
  /** Events logged, in order. */
  readonly events: () => string[];
}

/** @param url as in gateway.yaml; each `keyPrefix` is a world of its own */
export function makeLink(url: string, keyPrefix = 'test', more: Readonly<Record<string, unknown>> = {}): TestLink {
  const stream = new PassThrough();
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  const logger = createLogger({ level: 'debug', format: 'json', file: undefined }, { stream });
  return {
    link: new RedisLink(redisSchema.parse({ url, keyPrefix, ...more }), { logger, clock: systemClock }),
    log: () => text,
    events: () =>
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => String((JSON.parse(line) as { event: unknown }).event)),
  };
}
