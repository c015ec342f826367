/** How clients write our URLs: as configured, else as the request at hand was addressed. */
import type { ServedRequest } from '../http-server/types.js';
import type { PublicUrl } from './address-options.js';
import type { ClientAddresses } from './client-address.js';

export interface PublicAddressOptions {
  readonly publicUrl: PublicUrl | undefined;
  readonly isTls: boolean;
}

export class PublicAddress {
  readonly #options: PublicAddressOptions;
  readonly #addresses: ClientAddresses;

  constructor(options: PublicAddressOptions, addresses: ClientAddresses) {
    this.#options = options;
    this.#addresses = addresses;
  }

  /** What stands before every path, unless a host name stands for the route; empty, or with a leading slash. */
  get basePath(): string {
    return this.#options.publicUrl?.path ?? '';
  }

  /**
   * The absolute URL of `path` for the sender of `request`; undefined when its `Host` is no part of a URL.
   *
   * @param isRouteHost The request was addressed to the host name of one route, which has no base path.
   */
  urlOf(request: ServedRequest, path: string, isRouteHost: boolean): string | undefined {
    const { publicUrl } = this.#options;
    if (!isRouteHost && publicUrl?.origin !== undefined) return `${publicUrl.origin}${publicUrl.path}${path}`;
    const basePath = isRouteHost ? '' : this.basePath;
    const url = `${this.#schemeOf(request)}://${request.headers.host ?? ''}${basePath}${path}`;
    return URL.canParse(url) ? url : undefined;
  }

  #schemeOf(request: ServedRequest): string {
    const { publicUrl, isTls } = this.#options;
    if (isTls || publicUrl?.origin?.startsWith('https:') === true) return 'https';
    return this.#addresses.forwardedScheme(request) ?? 'http';
  }
}
