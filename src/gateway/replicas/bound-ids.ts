/** Session ids as callers send them: which are genuine and whose, and what the shared memory calls their sessions. */
import { LRUCache } from 'lru-cache';
import type { SessionKey } from '../../cluster/session-directory.js';
import type { Endpoint } from '../../downstream/endpoints.js';
import type { HttpExchange } from '../../downstream/http-exchange.js';
import type { OpenedSessionId, SessionIds } from '../../session/session-id.js';
import { sessionKey } from './session-copies.js';

/** An id that was found to be genuine, and whose it is; with its name in the shared memory. */
export interface BoundId {
  readonly opened: OpenedSessionId;
  readonly key: SessionKey;
  readonly route: string;
  /** Id of the caller. */
  readonly principal: string;
}

const MAX_KNOWN_IDS = 50_000;

export class BoundIds {
  readonly #ids: SessionIds;
  /** Opening an id costs as much as all the rest of passing a request on. Whoever it is not bound to gets nothing out of it here either. */
  readonly #known = new LRUCache<string, BoundId>({ max: MAX_KNOWN_IDS });

  constructor(ids: SessionIds) {
    this.#ids = ids;
  }

  /** @returns undefined when it is forged, or another's: refused like any unknown one, and nobody is asked */
  openFor({ door }: Endpoint, { caller }: HttpExchange, id: string): BoundId | undefined {
    const known = this.#known.get(id);
    if (known !== undefined) {
      return known.route === door.prefix && known.principal === caller.principal.id ? known : undefined;
    }
    const opened = this.#ids.open(id);
    if (opened?.isBoundTo(door.prefix, caller.principal.id) !== true) return undefined;
    const bound = { opened, key: sessionKey(id), route: door.prefix, principal: caller.principal.id };
    this.#known.set(id, bound);
    return bound;
  }
}
