/** One Lua script: sent once per server in full, by its hash from then on. */
import { createHash } from 'node:crypto';
import type { RedisCommands } from './client.js';

export type ScriptArgument = string | number | Buffer;

export class Script {
  readonly #lua: string;
  readonly #sha: string;

  constructor(lua: string) {
    this.#lua = lua;
    this.#sha = createHash('sha1').update(lua).digest('hex');
  }

  /**
   * Texts in the reply are read as UTF-8. A server that forgot the script is sent all of it, after commands that were
   * written meanwhile.
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

  /** As `run`, with texts in the reply as bytes. */
  async runBuffers(redis: RedisCommands, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown> {
    try {
      return await redis.callBuffer('evalsha', this.#sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return redis.callBuffer('eval', this.#lua, keys.length, ...keys, ...args);
    }
  }
}

function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
