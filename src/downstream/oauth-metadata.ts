/**
 * The protected resource metadata of every endpoint that clients connect to: it tells them where to get a token, so it is open to all.
 * @see https://www.rfc-editor.org/rfc/rfc9728#section-3
 */
import type { ServedRequest } from '../http-server/types.js';
import {
  type ProtectedResourceMetadata,
  protectedResourceMetadata,
  protectedResourceMetadataUrl,
} from '../auth/protected-resource.js';
import type { TokenSources } from './caller-identity.js';
import type { Endpoint, EndpointTable } from './endpoints.js';
import type { PublicAddress } from './public-address.js';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** Where a request was addressed to. */
export interface Addressed {
  readonly request: ServedRequest;
  /** Of the request, percent-encoding undone. */
  readonly path: string;
  /** The route its host name stands for. */
  readonly hostPrefix: string | undefined;
}

export function isMetadataPath(path: string): boolean {
  return path.startsWith(`${WELL_KNOWN}/`);
}

export class OauthMetadata {
  readonly #tokens: TokenSources | undefined;
  readonly #endpoints: EndpointTable;
  readonly #publicAddress: PublicAddress;

  /** @param tokens Undefined when there is nothing to tell. */
  constructor(tokens: TokenSources | undefined, endpoints: EndpointTable, publicAddress: PublicAddress) {
    this.#tokens = tokens;
    this.#endpoints = endpoints;
    this.#publicAddress = publicAddress;
  }

  /** The document that was asked for; undefined when there is none. */
  find({ request, path, hostPrefix }: Addressed): ProtectedResourceMetadata | undefined {
    const resourcePath = this.#withoutBase(path.slice(WELL_KNOWN.length));
    const endpoint = this.#endpoints.find(resourcePath, hostPrefix);
    if (this.#tokens === undefined || endpoint === undefined || endpoint.kind === 'messages') return undefined;
    const resource = this.#publicAddress.urlOf(request, resourcePath, hostPrefix !== undefined);
    return resource === undefined ? undefined : protectedResourceMetadata({ resource, ...this.#tokens });
  }

  /** Where the document for the endpoint that was asked for stands; undefined when there is none. */
  urlFor({ request, path, hostPrefix }: Addressed, { kind }: Endpoint): string | undefined {
    if (this.#tokens === undefined) return undefined;
    // Clients of HTTP+SSE connect to the stream; where they post is its business.
    const resourcePath = kind === 'messages' ? path.replace(/messages$/, 'sse') : path;
    const resource = this.#publicAddress.urlOf(request, resourcePath, hostPrefix !== undefined);
    return resource === undefined ? undefined : protectedResourceMetadataUrl(resource);
  }

  /** Clients put the well-known segment before the whole path; a proxy that takes the base path off does not see it there. */
  #withoutBase(path: string): string {
    const { basePath } = this.#publicAddress;
    return basePath !== '' && path.startsWith(`${basePath}/`) ? path.slice(basePath.length) : path;
  }
}
