/** Sessions whose callers could not open them any more, because what they proved themselves with is no longer accepted. */
import { isDeepStrictEqual } from 'node:util';
import { isAuthConfigured } from '../auth/create-authenticator.js';
import type { AuthOptions } from '../auth/options.js';
import type { Principal } from '../auth/principal.js';
import type { Route } from './route.js';

export function endUnwelcome(route: Route, before: AuthOptions | undefined, after: AuthOptions | undefined): void {
  if (isDeepStrictEqual(before, after)) return;
  for (const session of [...route.sessions.sessions]) {
    if (!isStillWelcome(session.record.principal, before, after)) session.close('its credential is no longer accepted');
  }
}

/** @returns whether the credential behind `principal`, accepted under `before`, is accepted under `after` too, as far as options can say */
export function isStillWelcome(
  { id, kind }: Principal,
  before: AuthOptions | undefined,
  after: AuthOptions | undefined,
): boolean {
  if (!isAuthConfigured(after)) return kind === 'anonymous';
  const name = id.slice(0, id.indexOf('|'));
  switch (kind) {
    case 'anonymous':
      return after?.anonymous !== undefined;
    case 'api-key':
      return digestOf(before, id) === digestOf(after, id);
    case 'jwt':
      return isDeepStrictEqual(issuerOf(before, name), issuerOf(after, name));
    default:
      return true;
  }
}

/** Undefined when there is no such key. */
function digestOf(options: AuthOptions | undefined, id: string): string | undefined {
  return options?.apiKeys?.find((key) => `apikey|${key.name}` === id)?.sha256.toLowerCase();
}

function issuerOf(options: AuthOptions | undefined, name: string): unknown {
  return options?.jwt?.find(({ issuer }) => issuer === name);
}
