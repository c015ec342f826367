/** One bounded GET for a key set: no redirects, no proxies, no pooled connection, and an end in time and in size. */
import { Agent, type Dispatcher, request } from 'undici';

import { describeError } from '../core/errors.js';
import { KeySetUnavailableError } from './errors.js';
import { MAX_KEY_SET_BYTES } from './key-set.js';
import { guardedLookup, keySetUrlProblem } from './key-set-url.js';

export interface FetchLimits {
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

const DEFAULT_LIMITS: FetchLimits = { timeoutMs: 5000, maxBytes: MAX_KEY_SET_BYTES };

/** @throws {KeySetUnavailableError} not allowed, not reachable, not 200, too slow or too large */
export async function fetchKeySet(url: string, limits: FetchLimits = DEFAULT_LIMITS): Promise<string> {
  const problem = keySetUrlProblem(url);
  if (problem !== undefined) throw new KeySetUnavailableError(url, problem);
  const connect = { lookup: guardedLookup(new URL(url).hostname), timeout: limits.timeoutMs };
  const agent = new Agent({ connect, maxHeaderSize: 16_384 });
  try {
    const response = await request(url, {
      dispatcher: agent,
      headers: { accept: 'application/jwk-set+json, application/json' },
      signal: AbortSignal.timeout(limits.timeoutMs),
    });
    return await readBody(response, limits.maxBytes);
  } catch (cause) {
    throw new KeySetUnavailableError(url, describeError(cause), { cause });
  } finally {
    await agent.destroy();
  }
}

async function readBody({ statusCode, body }: Dispatcher.ResponseData, maxBytes: number): Promise<string> {
  // A body that is given up halfway reports that as an error, which is no news here.
  body.on('error', () => {});
  if (statusCode !== 200) throw new Error(`answered ${statusCode} instead of 200`);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
