/** What is refused at the door, and what is taken instead. */
import { openKv } from 'varve/kv';
import { describe, expect, it } from 'vitest';
import { turns } from '../turns.ts';
import { codeOf, disk, openOn } from './simulated-store.ts';

function failOnPurpose(): never {
  throw new RangeError('on purpose');
}

describe('a call', () => {
  it('with a value that is nothing for JSON is refused as a mistake of the call', async () => {
    const kv = await openKv('/kv', { values: 'json' }, { fileSystem: disk() });
    const circular: Record<string, unknown> = {};
    circular['itself'] = circular;
    for (const value of [1n, { deep: [1n] }, circular, undefined, () => 1]) {
      expect(await codeOf(kv.put('a', value as never))).toBe('INVALID_ARGUMENT');
      const operations = [{ type: 'put', key: 'a', value: value as never }] as const;
      expect(await codeOf(kv.batch(operations))).toBe('INVALID_ARGUMENT');
      expect(await codeOf(kv.ingest([['a', value as never]]))).toBe('INVALID_ARGUMENT');
    }
    expect(await codeOf(kv.put('a', { toJSON: failOnPurpose }))).toBe('RangeError: on purpose');
    expect(kv.hasSync('a')).toBe(false);
    expect(await kv.put('a', null)).toBe(1);
    await kv.close();
  });

  it('of ingest with anything but an iterable of pairs is refused', async () => {
    const kv = await openOn(disk());
    for (const entries of [null, undefined, 'abc', 5, {}, ['abc'], [['a']], [null], [[1, 2]]]) {
      expect(await codeOf(kv.ingest(entries as never))).toBe('INVALID_ARGUMENT');
    }
    expect(kv.lastVersion).toBe(0);
    await kv.close();
  });

  it('of ingest that close ends rejects with CLOSED', async () => {
    for (const isPaused of [true, false]) {
      const kv = await openOn(disk());
      async function* endless(): AsyncGenerator<[string, string]> {
        for (let index = 1_000_000; ; index += 1) {
          yield [String(index), ''];
          await (isPaused ? new Promise<never>(() => {}) : turns(1));
        }
      }
      const ingested = codeOf(kv.ingest(endless()));
      await turns(5);
      await kv.close();
      expect(await ingested).toBe('CLOSED');
    }
  });
});
