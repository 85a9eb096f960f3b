/** The owner reads, audits, copies and compares while the writer's thread writes, rotates and seals the same files. */
import { audit, open } from 'varve';
import { SeededRandom } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { noise } from '../store/damage.ts';
import { newFolder } from './planned-disk.ts';

const seed = Number(process.env['VARVE_SEED'] ?? 1);
const rounds = Number(process.env['VARVE_READ_ROUNDS'] ?? 25);
const pool = noise(256 * 1024, 14);

describe('while the writer thread is busy', () => {
  it(`audits, backups and reads find every store whole (seed ${seed})`, async () => {
    const random = new SeededRandom(seed);
    const directory = newFolder();
    const store = await open(directory, { background: 'thread', maxSegmentBytes: 1024 * 1024 });
    const state = { isDone: false };
    const counts = { audits: 0, backups: 0, reads: 0 };
    const auditing = repeat(async () => {
      const head = store.head;
      expect(await store.verify()).toMatchObject({ ok: true, findingCount: 0, events: head });
      counts.audits += 1;
    });
    const copying = repeat(async () => {
      const target = newFolder();
      const head = store.head;
      await store.backup(target);
      const { ok, findings } = await audit(target);
      expect(ok).toBe(true);
      // A full segment may have been copied before it had its footer.
      expect(findings.every(({ severity }) => severity === 'notice')).toBe(true);
      const copy = await open(target, { background: 'inline' });
      expect(copy.head).toBeGreaterThanOrEqual(head);
      await copy.close();
      counts.backups += 1;
    });
    const reading = repeat(async () => {
      const position = random.below(Math.max(1, store.head));
      const event = await store.get(position);
      expect(event?.position ?? position).toBe(position);
      let last = -1;
      for await (const one of store.read({}, { after: Math.max(0, store.head - 300) })) {
        expect(one.position).toBeGreaterThan(last);
        last = one.position;
      }
      counts.reads += 1;
    });

    async function repeat(work: () => Promise<void>): Promise<void> {
      while (!state.isDone) {
        await work();
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
    }

    for (let round = 0; round < rounds; round += 1) {
      const sent = Array.from({ length: 60 }, (_, index) => {
        const size = random.chance(0.1) ? random.below(pool.length) : random.below(400);
        return store.append(`s/${index % 5}`, [{ type: 'Noted', data: pool.subarray(0, size) }]);
      });
      await Promise.all(sent);
    }
    state.isDone = true;
    await Promise.all([auditing, copying, reading]);
    expect(store.segments().length).toBeGreaterThan(rounds / 2);
    expect(Math.min(counts.audits, counts.backups, counts.reads)).toBeGreaterThan(2);
    await store.close();
  });

  it(`repeats are told from other content, from the memory that it works on (seed ${seed})`, async () => {
    const random = new SeededRandom(seed);
    const store = await open(newFolder(), { background: 'thread', compression: 'deflate' });
    const answers = Array.from({ length: 6_000 }, async (_, index) => {
      // A pause now and then, so that the thread is at work on some while others are compared.
      if (index % 50 === 0) {
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
      const text = 'x'.repeat(random.below(900));
      const key = { idempotencyKey: `key-${index}` };
      const events = [
        { type: 'Noted', data: { index, text } },
        { type: 'Noted', id: `id-${index}` },
      ];
      const first = store.append('s', events, key);
      const again = store.append('s', events, key);
      const other = store.append('s', [{ type: 'Noted', data: { index, text: `${text}y` } }], key);
      const byId = store.append('t', [{ type: 'Noted', id: `id-${index}` }]);
      const [one, two, three, four] = await Promise.allSettled([first, again, other, byId]);
      return { one, two, three, four };
    });
    for (const { one, two, three, four } of await Promise.all(answers)) {
      expect(one.status).toBe('fulfilled');
      const result = one.status === 'fulfilled' ? one.value : undefined;
      expect(two).toEqual({ status: 'fulfilled', value: { ...result, outcome: 'duplicate' } });
      expect(three).toMatchObject({ reason: { code: 'IDEMPOTENCY_CONFLICT' } });
      expect(four).toMatchObject({ reason: { code: 'IDEMPOTENCY_CONFLICT' } });
    }
    expect(store.head).toBe(12_000);
    expect(await store.verify()).toMatchObject({ ok: true, events: 12_000 });
    await store.close();
  });
});
