/** What is served at the moment: everything about the listener that follows from the configuration, made whole and swapped whole. */
import { CallerIdentity, type AccessControl, type AuthFailureHook } from './caller-identity.js';
import type { ClientAddresses } from './client-address.js';
import type { RouteDoor } from './client-session.js';
import { EndpointTable } from './endpoints.js';
import { HostGuard } from './host-guard.js';
import { OauthMetadata } from './oauth-metadata.js';
import type { ListenerOptions } from './options.js';
import { OriginGuard } from './origin-guard.js';
import type { PublicAddress } from './public-address.js';

/** What changes from one configuration to the next. */
export interface SiteContent {
  readonly doors: readonly RouteDoor[];
  /** The route that is served without a prefix too. */
  readonly defaultPrefix: string | undefined;
  readonly access: AccessControl;
}

export interface SiteDependencies {
  readonly addresses: ClientAddresses;
  readonly publicAddress: PublicAddress;
  readonly onAuthFailure: AuthFailureHook | undefined;
}

export class Site {
  readonly hosts: HostGuard;
  readonly origins: OriginGuard;
  readonly endpoints: EndpointTable;
  readonly identity: CallerIdentity;
  readonly metadata: OauthMetadata;

  constructor(options: ListenerOptions, { doors, defaultPrefix, access }: SiteContent, dependencies: SiteDependencies) {
    const { host, domain, publicUrl, allowedHosts, allowedOrigins } = options;
    const { addresses, publicAddress, onAuthFailure } = dependencies;
    const publicHost = publicUrl?.origin === undefined ? undefined : new URL(publicUrl.origin).hostname;
    const prefixes = doors.map((door) => door.prefix);
    this.hosts = new HostGuard({ host, domain, publicHost, allowedHosts, prefixes });
    this.origins = new OriginGuard(allowedOrigins, this.hosts.isOn);
    this.endpoints = new EndpointTable(doors, defaultPrefix);
    this.identity = new CallerIdentity(access, addresses, onAuthFailure);
    this.metadata = new OauthMetadata(access.tokens, this.endpoints, publicAddress);
  }
}
