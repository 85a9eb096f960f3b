/** Keys and ids of one hash: all stay found, by their texts, wherever they lie, and fresh ones that pass every filter are taken. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { crc32 } from '../base/crc32.ts';
import { SeededRandom } from '../base/random.ts';
import type { TextHash } from '../derived/text-hash.ts';
import { SimulatedClock } from '../testing/simulated-clock.ts';
import { SimulatedFileSystem } from '../testing/simulated-file-system.ts';
import type { CommitResult, EventStore } from './contract.ts';
import type { open as openStore } from './open-store.ts';

let open: typeof openStore;

/** Has two values for texts of this test, in whatever scope: each shares its hash with half of all others. */
class WeakHash implements TextHash {
  low = 0;
  high = 0;

  take(_scope: string, text: string): void {
    const isOurs = text.startsWith('text-');
    this.high = isOurs ? text.charCodeAt(text.length - 1) & 1 : 2;
    this.low = isOurs ? 0 : crc32(Buffer.from(text), 0, text.length);
  }
}

beforeAll(async () => {
  vi.doMock('../derived/text-hash.ts', () => ({ SecretHash: WeakHash }));
  vi.resetModules();
  ({ open } = await import('./open-store.ts'));
});
afterAll(() => {
  vi.doUnmock('../derived/text-hash.ts');
  vi.resetModules();
});

class Colliding {
  readonly disk: SimulatedFileSystem = new SimulatedFileSystem();
  readonly #answers = new Map<number, CommitResult>();

  async open(): Promise<EventStore> {
    const components = {
      fileSystem: this.disk,
      clock: new SimulatedClock({ tickMs: 1 }),
      random: new SeededRandom(this.disk.operations),
    };
    const options = { indexMemoryBytes: 16 * 1024, background: 'inline' } as const;
    return open('/store', options, components);
  }

  /** One text as a key of two scopes and of none, and as an id. */
  async send(store: EventStore, number: number): Promise<void> {
    const text = `text-${number}`;
    const events = [{ type: 'T', data: number, id: text }];
    const scopes = [{}, { idempotencyScope: 'a' }, { idempotencyScope: 'b' }];
    for (const [nth, scope] of scopes.entries()) {
      const parts = [{ stream: `s/${nth}`, events: nth === 0 ? events : [{ type: 'T' }] }];
      const answer = await store.commit(parts, { ...scope, idempotencyKey: text });
      const key = number * scopes.length + nth;
      const first = this.#answers.get(key);
      expect(answer).toEqual(first ?? { ...answer, outcome: 'appended' });
      this.#answers.set(key, { ...answer, outcome: 'duplicate' });
    }
    expect(await store.getById(text)).toMatchObject({ data: number });
  }

  async check(store: EventStore, count: number): Promise<void> {
    const { head } = store;
    for (let number = 0; number < count; number += 1) {
      await this.send(store, number);
    }
    expect(store.head).toBe(head);
  }
}

describe('texts of one hash', () => {
  it('stay found in memory, in runs, through merges, after reopening and a rebuild', async () => {
    const colliding = new Colliding();
    const { disk } = colliding;
    let store = await colliding.open();
    let count = 0;
    const add = async (more: number): Promise<void> => {
      for (const end = count + more; count < end; count += 1) {
        await colliding.send(store, count);
      }
    };
    await add(2);
    await colliding.check(store, count);
    await add(4);
    await store.settled();
    expect(store.stats().index.work).toMatchObject({ runs: 2, merges: 0 });
    await colliding.check(store, count);
    await add(12);
    await store.settled();
    expect(store.stats().index.work.merges).toBeGreaterThan(0);
    await colliding.check(store, count);
    for (let turn = 0; turn < 2; turn += 1) {
      await store.close();
      store = await colliding.open();
      await colliding.check(store, count);
      await add(2);
      await colliding.check(store, count);
    }
    await store.close();
    const derived = disk.paths().filter((path) => path.includes('/derived/'));
    derived.forEach((path) => disk.removeFile(path));
    store = await colliding.open();
    await colliding.check(store, count);
    await store.settled();
    await colliding.check(store, count);
    await store.close();
  });
});
