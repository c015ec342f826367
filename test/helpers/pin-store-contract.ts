/** What every PinStore has to do, told to whichever is opened. */
import { describe, expect, test } from 'vitest';
import type { PinStore } from '../../src/policy/tool-pins.js';

const MAX_PINS = 10_000;

/** @param open gives a store without any pin */
export function describePinStore(name: string, open: () => PinStore | Promise<PinStore>): void {
  describe(`${name} as a PinStore`, () => {
    test('keeps what was seen first', async () => {
      const store = await open();
      expect([...(await store.pinNew('r', [pin('a', '1'), pin('b', '2')]))]).toEqual([
        ['a', '1'],
        ['b', '2'],
      ]);
      expect([...(await store.pinNew('r', [pin('a', 'changed'), pin('c', '3')]))]).toEqual([
        ['a', '1'],
        ['c', '3'],
      ]);
      expect((await store.pinNew('r', [])).size).toBe(0);
    });

    test('of two definitions in one list the first is pinned', async () => {
      const store = await open();
      expect([...(await store.pinNew('r', [pin('a', '1'), pin('a', '2')]))]).toEqual([['a', '1']]);
    });

    test('a pin is replaced, or made, when asked', async () => {
      const store = await open();
      await store.pinNew('r', [pin('a', '1')]);
      await store.replace('r', 'a', '2');
      await store.replace('r', 'b', '3');
      const pins = await store.pinNew('r', [pin('a', '1'), pin('b', '1')]);
      expect([pins.get('a'), pins.get('b')]).toEqual(['2', '3']);
    });

    test('routes share nothing, and odd names are names', async () => {
      const store = await open();
      const names = ['__proto__', 'constructor', '', 'ünï cödé', 'a\r\nb', '{x}'];
      await store.pinNew(
        'r',
        names.map((tool) => pin(tool, `first ${tool}`)),
      );
      const again = await store.pinNew(
        'r',
        names.map((tool) => pin(tool, 'second')),
      );
      expect([...again]).toEqual(names.map((tool) => [tool, `first ${tool}`]));
      expect((await store.pinNew('other', [pin('constructor', 'own')])).get('constructor')).toBe('own');
    });

    test(`has room for ${MAX_PINS} tools of a route, and no more`, async () => {
      const store = await open();
      const tools = Array.from({ length: MAX_PINS + 1 }, (_, index) => pin(`t${index}`, `d${index}`));
      const pins = await store.pinNew('r', tools);
      expect([pins.size, pins.get(`t${MAX_PINS - 1}`)]).toEqual([MAX_PINS + 1, `d${MAX_PINS - 1}`]);
      expect(pins.get(`t${MAX_PINS}`)).toBeUndefined();
      expect((await store.pinNew('r', [pin('one more', 'd')])).get('one more')).toBeUndefined();
      expect((await store.pinNew('other', [pin('a', 'd')])).get('a')).toBe('d');
    });
  });
}

function pin(name: string, digest: string) {
  return { name, digest };
}
