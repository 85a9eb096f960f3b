/** What JSON would change on its way to disk is refused by every door, in the same words, with the path to it. */
import { attach, type NewEvent, open, type StoreClient, VarveError } from 'varve';
import { type KvStore, openKv } from 'varve/kv';
import { openInMemory, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it, vi } from 'vitest';

async function failureOf(work: Promise<unknown>): Promise<VarveError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof VarveError) {
      return error;
    }
    throw error;
  }
  throw new Error('it was taken');
}

function nestedText(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth);
}

function nested(depth: number): unknown {
  return JSON.parse(nestedText(depth));
}

type Door = (value: unknown) => Promise<unknown>;

function eventsOf(value: unknown): NewEvent[] {
  return [{ type: 'T', data: value }];
}

function doorsOf(store: StoreClient, client: StoreClient, kv: KvStore): Record<string, Door> {
  const anyKv = kv as unknown as KvStore<unknown>;
  return {
    append: (value) => store.append('a', eventsOf(value)),
    'append with metadata': (value) => store.append('a', [{ type: 'T', metadata: value }]),
    commit: (value) => store.commit([{ stream: 'a', events: eventsOf(value) }]),
    'a client’s append': (value) => client.append('a', eventsOf(value)),
    'a client’s metadata': (value) => client.append('a', [{ type: 'T', metadata: value }]),
    put: (value) => anyKv.put('k', value),
    batch: (value) => anyKv.batch([{ type: 'put', key: 'k', value }]),
    ingest: (value) => anyKv.ingest([['k', value]]),
  };
}

async function withDoors(work: (doors: Record<string, Door>) => Promise<void>): Promise<void> {
  const store = await openInMemory();
  const client = await attach(store.share());
  const kv = await openKv('/kv', { values: 'json' }, { fileSystem: new SimulatedFileSystem() });
  try {
    await work(doorsOf(store, client, kv as never));
    expect([store.head, kv.lastVersion]).toEqual([0, 0]);
  } finally {
    await client.close();
    await store.close();
    await kv.close();
  }
}

describe('what JSON would change', () => {
  it('is refused at every door, at any depth, and nothing is written', () =>
    withDoors(async (doors) => {
      const wrong = [Number.NaN, 1n, new Map(), new ArrayBuffer(1), Promise.resolve(), () => 1];
      for (const [name, door] of Object.entries(doors)) {
        for (const one of wrong) {
          const { code, message } = await failureOf(door({ items: [1, { price: one }] }));
          expect([name, code]).toEqual([name, 'INVALID_ARGUMENT']);
          expect(message).toMatch(/^(data|metadata|value)\.items\[1\]\.price is /);
        }
        for (const one of [new Map(), Number.NaN, new Float64Array(1), Symbol('s')]) {
          expect((await failureOf(door(one))).code, name).toBe('INVALID_ARGUMENT');
        }
      }
    }));

  it('is refused at every door if it is nested deeper than the limit', () =>
    withDoors(async (doors) => {
      for (const [name, door] of Object.entries(doors)) {
        for (const depth of [1_001, 3_000, 100_000]) {
          const { code } = await failureOf(door(nested(depth)));
          expect([name, code]).toEqual([name, 'LIMIT_EXCEEDED']);
        }
      }
    }));
});

describe('a deep value', () => {
  it('up to the limit is stored, read, and known again on a retry', async () => {
    const store = await openInMemory();
    const client = await attach(store.share());
    const event = { type: 'T', data: nested(1_000), metadata: { deep: nested(999) } };
    for (const [index, one] of [store, client].entries()) {
      const key = { idempotencyKey: `k${index}` };
      await one.append('a', [event], key);
      expect((await one.append('a', [event], key)).outcome).toBe('duplicate');
      // Compared field by field, for the text is another one.
      const other = { ...event, metadata: { more: 1, ...event.metadata } };
      const reordered = { ...event, metadata: { ...other.metadata } };
      expect((await failureOf(one.append('a', [reordered], key))).code).toBe(
        'IDEMPOTENCY_CONFLICT',
      );
      expect((await one.get(index))!.data).toEqual(event.data);
    }
    await client.close();
    await store.close();
  });

  it('that an older version stored is read, verified, and known again on a retry', async () => {
    const fileSystem = new SimulatedFileSystem();
    const store = await open('/store', {}, { fileSystem });
    const deep = nestedText(3_000);
    const stringify = vi.spyOn(JSON, 'stringify');
    const appendText = async (text: string): Promise<unknown> => {
      stringify.mockReturnValueOnce(text);
      const { outcome } = await store.append('a', [{ type: 'T', data: 0 }], {
        idempotencyKey: 'k',
      });
      return outcome;
    };
    expect(await appendText(`{"a":1,"deep":${deep}}`)).toBe('appended');
    // With its fields in another order only a comparison of what they hold can tell.
    expect(await appendText(`{"deep":${deep},"a":1}`)).toBe('duplicate');
    expect((await failureOf(appendText(`{"deep":${deep},"a":2}`))).code).toBe(
      'IDEMPOTENCY_CONFLICT',
    );
    const client = await attach(store.share());
    for (const one of [store, client]) {
      const { data } = (await one.get(0))!;
      expect(Object.keys(data as object)).toEqual(['a', 'deep']);
    }
    expect((await store.verify()).ok).toBe(true);
    stringify.mockReturnValueOnce(nestedText(20_000));
    await store.append('a', [{ type: 'T', data: 0 }]);
    expect(Array.isArray((await store.get(1))!.data)).toBe(true);
    expect((await failureOf(client.get(1))).code).toBe('LIMIT_EXCEEDED');
    await client.close();
    stringify.mockRestore();
    await store.close();
  });
});

describe('text with half of a surrogate pair', () => {
  it('comes back as it was, from both stores', async () => {
    const value = { 'k\ud800': ['\udc00', 'a\ud83d', '😀'] };
    const store = await openInMemory();
    await store.append('a', [{ type: 'T', data: value, metadata: value }]);
    expect(await store.get(0)).toMatchObject({ data: value, metadata: value });
    await store.close();
    const kv = await openKv('/kv', { values: 'json' }, { fileSystem: new SimulatedFileSystem() });
    await kv.put('k', value);
    expect(await kv.get('k')).toEqual(value);
    await kv.close();
  });
});
