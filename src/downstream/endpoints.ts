/** Path to endpoint, exactly: what is not in the table does not exist. */
import type { RouteDoor } from './client-session.js';

export type EndpointKind = 'sse' | 'messages' | 'mcp';

export interface Endpoint {
  readonly kind: EndpointKind;
  readonly door: RouteDoor;
}

export const ENDPOINT_KINDS: readonly EndpointKind[] = ['sse', 'messages', 'mcp'];

/** Whether a request target may lead to an endpoint; whether it does, the table knows. */
export function isEndpointTarget(url: string): boolean {
  const mark = url.indexOf('?');
  const end = mark === -1 ? url.length : mark;
  return url.endsWith('/mcp', end) || url.endsWith('/messages', end) || url.endsWith('/sse', end);
}

/** The methods each endpoint takes, as `Allow` names them. */
export const METHODS: Readonly<Record<EndpointKind, string>> = {
  sse: 'GET, OPTIONS',
  messages: 'POST, OPTIONS',
  mcp: 'POST, GET, DELETE, OPTIONS',
};

/** Whether a request of this method does something there. */
export function isTaken({ kind }: Endpoint, method: string | undefined): boolean {
  switch (method) {
    case 'POST':
      return kind !== 'sse';
    case 'GET':
      return kind !== 'messages';
    case 'DELETE':
      return kind === 'mcp';
    default:
      return false;
  }
}

export class EndpointTable {
  readonly #byPath = new Map<string, Endpoint>();

  /** @param defaultPrefix The route that is served without a prefix too. */
  constructor(doors: readonly RouteDoor[], defaultPrefix: string | undefined) {
    for (const door of doors) {
      for (const kind of ENDPOINT_KINDS) {
        this.#byPath.set(`/${door.prefix}/${kind}`, { kind, door });
        if (door.prefix === defaultPrefix) this.#byPath.set(`/${kind}`, { kind, door });
      }
    }
  }

  /** By name, as another replica says it. */
  named(prefix: string, kind: string): Endpoint | undefined {
    return this.#byPath.get(`/${prefix}/${kind}`);
  }

  /** @param hostPrefix The route the host name stands for; there the bare paths are its own. */
  find(path: string, hostPrefix: string | undefined): Endpoint | undefined {
    if (hostPrefix === undefined) return this.#byPath.get(path);
    return this.#byPath.get(`/${hostPrefix}${path}`) ?? this.#byPath.get(path);
  }
}
