/** What a client reads, page by page, is what the owner would read. */
import { createHash } from 'node:crypto';
import { attach, type StoredEvent } from 'varve';
import { SimulatedFileSystem } from 'varve/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { noise } from '../store/damage.ts';
import { all, closeOpened, event, fateOf, inMemory } from './settled-calls.ts';
import { Relay } from './relay.ts';
import { turnsUntil } from './threads.ts';

afterEach(closeOpened);

/** Large data as a digest: comparing it byte by byte takes the test too long. */
function digested({ data, ...rest }: StoredEvent): object {
  return {
    ...rest,
    data: createHash('sha256')
      .update(data as Uint8Array)
      .digest('hex'),
  };
}

describe('reading in a client', () => {
  it('gives what the owner gives, whatever is asked for', async () => {
    const store = await inMemory();
    for (let n = 0; n < 60; n += 1) {
      const data = noise(n % 7 === 0 ? 40_000 : 100, n);
      const events = Array.from({ length: 1 + (n % 17) }, () => ({ type: 'N', data, tags: ['t'] }));
      await store.append(`s/${n % 3}`, events);
    }
    const client = await attach(store.share());
    const queries = [{}, { stream: 's/1' }, { stream: 's/2', revisions: { from: 3, to: 100 } }];
    const bounds = [
      {},
      { limit: 0 },
      { limit: 1 },
      { limit: 256 },
      { limit: 300 },
      { after: 5, before: 290 },
      { maxBytes: 1 },
      { maxBytes: 100_000 },
      { maxBytes: 1_000_000 },
      { limit: 100, maxBytes: 700_000 },
    ];
    for (const query of queries) {
      for (const bound of bounds) {
        for (const direction of ['forwards', 'backwards'] as const) {
          const own = store.read(query, { ...bound, direction });
          const far = client.read(query, { ...bound, direction });
          const expected = await all(own);
          expect((await all(far)).map(digested)).toEqual(expected.map(digested));
          expect([far.stopped, far.lastPosition]).toEqual([own.stopped, own.lastPosition]);
        }
      }
    }
  });

  it('sees at once what has become visible, without a message', async () => {
    const store = await inMemory();
    const relay = new Relay(store.share());
    const client = await attach(relay.port);
    expect(client.head).toBe(0);
    relay.reset();
    await store.append('a', [event, event]);
    expect([client.head, relay.toOwner, relay.toClient]).toEqual([2, 0, 0]);
    expect(await all(client.read())).toHaveLength(2);
  });

  it('has said why it ended when the last event of a limit is given', async () => {
    const store = await inMemory();
    await store.append('a', [event, event, event]);
    const client = await attach(store.share());
    const events = client.read({}, { limit: 2 });
    await events.next();
    expect([events.stopped, events.lastPosition]).toEqual([undefined, 0]);
    await events.next();
    expect([events.stopped, events.lastPosition]).toEqual(['limit', 1]);
  });

  it('refuses wrong options at the call', async () => {
    const store = await inMemory();
    const client = await attach(store.share());
    const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    expect(() => client.read({ steam: 'a' } as object)).toThrow(invalid);
    expect(() => client.read({}, { limit: -1 })).toThrow(invalid);
    expect(() => client.streams({ delimiter: '' })).toThrow(invalid);
    expect(await fateOf(client.get(-1))).toBe('INVALID_ARGUMENT');
    expect(await fateOf(client.getById((() => 1) as never))).toBe('INVALID_ARGUMENT');
    expect(await fateOf(client.streamHead('//'))).toBe('INVALID_ARGUMENT');
    expect(await fateOf(client.waitFor(-2))).toBe('INVALID_ARGUMENT');
  });

  it('keeps no file of the owner open, and tells the owner when it is left', async () => {
    const disk = new SimulatedFileSystem();
    const store = await inMemory({}, { fileSystem: disk });
    for (let n = 0; n < 10; n += 1) {
      await store.append(
        'a',
        Array.from({ length: 200 }, () => event),
      );
    }
    const relay = new Relay(store.share());
    const client = await attach(relay.port);
    // The files kept open for single events are open from now on.
    await client.get(0);
    const { openCount } = disk;
    for await (const { position } of client.read()) {
      if (position === 3) {
        expect(disk.openCount).toBe(openCount);
        break;
      }
    }
    for await (const entry of client.streams()) {
      expect(entry.kind).toBe('stream');
      break;
    }
    const read = client.read();
    await read.next();
    await read.return?.();
    expect(await read.next()).toEqual({ done: true, value: undefined });
    // A word for each read; a listing of one page has ended by itself.
    await turnsUntil(() => relay.closedCursors === 2);
    // So does the end of its thread.
    const unfinished = client.read();
    await unfinished.next();
    relay.end();
    await turnsUntil(() => store.stats().clients === 0);
    expect(disk.openCount).toBe(openCount);
    expect(await fateOf(client.waitFor(1_000_000))).toBe('CLOSED');
    expect(await fateOf(unfinished.next())).toBe('CLOSED');
  });

  it('can be left while the next page is being gathered', async () => {
    const store = await inMemory();
    await store.append(
      'a',
      Array.from({ length: 2_000 }, () => event),
    );
    const client = await attach(store.share());
    // The owner rests after every 512 events: some of these are left just then.
    for (let last = 0; last < 1_500; last += 50) {
      for await (const { position } of client.read()) {
        if (position === last) {
          break;
        }
      }
      expect(await client.get(last)).toMatchObject({ position: last });
    }
  });

  it('lists streams over several pages', async () => {
    const store = await inMemory();
    const names = Array.from({ length: 600 }, (_, n) => `s/${String(n).padStart(4, '0')}`);
    await store.commit(names.map((stream) => ({ stream, events: [event] })));
    const client = await attach(store.share());
    const listed = await all(client.streams());
    expect(listed).toEqual(await all(store.streams()));
    expect(listed).toHaveLength(600);
  });

  it('ends when its signal does, also while a page is on its way', async () => {
    const store = await inMemory();
    await store.append('a', [event, event]);
    const client = await attach(store.share());
    const before = client.read({}, { signal: AbortSignal.abort('early') });
    await expect(before.next()).rejects.toMatchObject({ code: 'ABORTED', cause: 'early' });
    const controller = new AbortController();
    const next = fateOf(client.read({}, { signal: controller.signal }).next());
    controller.abort();
    expect(await next).toBe('ABORTED');
    await client.close();
  });

  it('ends when the client is closed', async () => {
    const store = await inMemory();
    await store.append('a', [event, event]);
    const client = await attach(store.share());
    const events = client.read();
    await events.next();
    await client.close();
    expect(await fateOf(events.next())).toBe('CLOSED');
  });
});
