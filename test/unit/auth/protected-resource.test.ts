import { describe, expect, test } from 'vitest';

import {
  protectedResourceMetadata,
  protectedResourceMetadataUrl,
  wwwAuthenticate,
} from '../../../src/auth/protected-resource.js';
import { refuse } from '../../../src/auth/refusals.js';

const METADATA_URL = 'https://gw.example/.well-known/oauth-protected-resource/sumit/mcp';

describe('metadata', () => {
  test('names the resource, who issues tokens for it, and the scopes', () => {
    const metadata = protectedResourceMetadata({
      resource: 'https://gw.example/sumit/mcp',
      authorizationServers: ['https://idp.example'],
      scopes: ['mcp'],
    });
    expect(metadata).toEqual({
      resource: 'https://gw.example/sumit/mcp',
      authorization_servers: ['https://idp.example'],
      bearer_methods_supported: ['header'],
      scopes_supported: ['mcp'],
    });
  });

  test('says nothing of scopes when there are none', () => {
    const metadata = protectedResourceMetadata({
      resource: 'https://gw.example/',
      authorizationServers: [],
      scopes: [],
    });
    expect(metadata).not.toHaveProperty('scopes_supported');
  });

  test.each([
    ['https://gw.example/sumit/mcp', METADATA_URL],
    ['https://gw.example', 'https://gw.example/.well-known/oauth-protected-resource'],
    ['https://gw.example:8443/base/x', 'https://gw.example:8443/.well-known/oauth-protected-resource/base/x'],
  ])('of %s is served at %s', (resource, url) => {
    expect(protectedResourceMetadataUrl(resource)).toBe(url);
  });
});

describe('challenge', () => {
  test('tells a caller without a credential where to get one, and no error', () => {
    expect(wwwAuthenticate(refuse('missing', 'mcp'), METADATA_URL)).toBe(
      `Bearer scope="mcp", resource_metadata="${METADATA_URL}"`,
    );
  });

  test('names the error of a bad token', () => {
    expect(wwwAuthenticate(refuse('expired'), METADATA_URL)).toBe(
      `Bearer error="invalid_token", error_description="the token has expired", resource_metadata="${METADATA_URL}"`,
    );
  });

  test('names the scopes that are missing', () => {
    expect(wwwAuthenticate(refuse('insufficient_scope', 'a b'), undefined)).toBe(
      'Bearer error="insufficient_scope", error_description="the token lacks a required scope", scope="a b"',
    );
  });

  test('can be as short as a scheme', () => {
    expect(wwwAuthenticate(refuse('missing'), undefined)).toBe('Bearer');
  });

  test('lets no value start a header of its own', () => {
    const header = wwwAuthenticate(refuse('missing', 'a\r\nSet-Cookie: x=1\u2028"\\'), undefined);
    expect(header).toBe('Bearer scope="a??Set-Cookie: x=1?\\"\\\\"');
  });
});
