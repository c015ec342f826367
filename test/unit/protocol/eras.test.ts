/** What each revision of the protocol allows, and which of the two eras it belongs to. */
import { SUPPORTED_PROTOCOL_VERSIONS as LEGACY_OF_SDK } from '@modelcontextprotocol/sdk/types.js';
import { LATEST_PROTOCOL_VERSION as NEWEST_LEGACY_OF_SDK } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import * as eras from '../../../src/protocol/eras.js';

const { LEGACY_VERSIONS, MODERN_VERSION, MODERN_VERSIONS } = eras;

test('knows every published revision with a handshake that the SDK knows, newest first', () => {
  expect(LEGACY_OF_SDK.filter((version) => !LEGACY_VERSIONS.includes(version))).toEqual(['2024-10-07']);
  expect(LEGACY_VERSIONS).toEqual([...LEGACY_VERSIONS].toSorted().toReversed());
  expect(LEGACY_VERSIONS[0]).toBe(NEWEST_LEGACY_OF_SDK);
});

test('counts no revision to both eras', () => {
  expect(LEGACY_VERSIONS.filter((version) => eras.isModernVersion(version))).toEqual([]);
  expect(MODERN_VERSIONS.filter((version) => eras.isLegacyVersion(version))).toEqual([]);
  expect(MODERN_VERSIONS.every((version) => eras.isModernVersion(version))).toBe(true);
  expect(MODERN_VERSIONS).toContain(MODERN_VERSION);
});

test.each([
  ['2026-07-28', true],
  ['2026-07-29', true],
  ['2031-01-01', true],
  ['2026-07-27', false],
  ['2025-11-25', false],
  ['v999.0.0', false],
  ['draft', false],
  ['', false],
  ['2026-07-28 ', false],
  ['9999', false],
])('%j is modern: %s', (version, expected) => {
  expect(eras.isModernVersion(version)).toBe(expected);
});

test.each([
  ['2024-11-05', { batch: false, priming: false }],
  ['2025-03-26', { batch: true, priming: false }],
  ['2025-06-18', { batch: false, priming: false }],
  ['2025-11-25', { batch: false, priming: true }],
])('%s', (version, expected) => {
  expect({ batch: eras.allowsBatch(version), priming: eras.understandsPrimingEvent(version) }).toEqual(expected);
});

test('assumes of a request without the header a revision with a handshake', () => {
  expect(LEGACY_VERSIONS).toContain(eras.ASSUMED_HTTP_VERSION);
});
