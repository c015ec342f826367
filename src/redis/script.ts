/** Lua scripts: sent to each server once in full, called by their hash from then on. */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { RedisCommands } from './client.js';
import { isLinkFailure } from './errors.js';

export type ScriptArgument = string | number | Buffer;

/** The texts of all scripts of this process. */
const texts = new Set<string>();

/**
 * Gives a server all scripts. Done before anything else is sent: a call that has to be repeated in full would come
 * after those that were sent behind it.
 *
 * @throws {Error} the connection was lost meanwhile
 */
export async function loadScripts(server: Redis): Promise<void> {
  const loads = [...texts].map((text) => server.script('LOAD', text));
  for (const load of await Promise.allSettled(loads)) {
    // A user may be allowed to call scripts and not to load them.
    if (load.status === 'rejected' && isLinkFailure(load.reason)) throw load.reason;
  }
}

export class Script {
  readonly #lua: string;
  readonly #sha: string;

  constructor(lua: string) {
    this.#lua = lua;
    texts.add(lua);
    this.#sha = createHash('sha1').update(lua).digest('hex');
  }

  /**
   * Texts in the reply are read as UTF-8. A server that forgot the script while connected is sent all of it again, after
   * what was sent meanwhile.
   *
   * @throws {Error} `ReplyError`: what the script or Redis says is wrong
   */
  async run(redis: RedisCommands, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown> {
    try {
      return await redis.evalsha(this.#sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return redis.eval(this.#lua, keys.length, ...keys, ...args);
    }
  }

  /** As `run`, but always sent in full, so that nothing that is sent later comes before it. */
  runInOrder(redis: RedisCommands, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown> {
    return redis.eval(this.#lua, keys.length, ...keys, ...args);
  }
}

function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
