/**
 * Flipped bits in a key-value store at rest, one at a time. The store is refused with the place of the damage and left as it
 * is, or every read gives what was written or the place of the damage.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { strideTitle, stridedBits } from '../stride.ts';
import {
  checkDamaged,
  LOG,
  makeVictim,
  MANIFEST,
  openOn,
  options,
  type Outcome,
  readAll,
  TAIL,
  type Victim,
} from './damage.ts';
import { bytesOf, contentProblem, tinyOptions } from './wishes.ts';

let victim: Victim;
beforeAll(async () => {
  victim = await makeVictim(1);
});

async function flipAll(
  path: string,
  stride: number,
  judge: (found: Outcome, offset: number) => void,
): Promise<void> {
  for (const bit of stridedBits(victim.disk.readFile(path).length, stride)) {
    const disk = victim.disk.clone();
    disk.flipBit(path, bit >>> 3, bit & 7);
    try {
      judge(await checkDamaged(disk, victim), bit >>> 3);
    } catch (error) {
      throw new Error(`${path}, byte ${bit >>> 3}, bit ${bit & 7}: ${String(error)}`, {
        cause: error,
      });
    }
  }
}

describe(`a flipped bit (${strideTitle})`, () => {
  it('anywhere in a table is met by a read and located, and nothing else suffers', async () => {
    for (const path of victim.tables) {
      await flipAll(path, 3, ({ refused, met, isFoundByVerify }, offset) => {
        expect(refused).toBeUndefined();
        expect(isFoundByVerify, 'verify finds it').toBe(true);
        if (met !== undefined) {
          expect(met.file).toBe(path);
          expect(met.offset!).toBeLessThanOrEqual(offset);
        }
      });
    }
  });

  it.each([MANIFEST, LOG])('anywhere in %s is refused and located', async (path) => {
    await flipAll(path, 1, ({ refused }) => {
      expect(refused).toMatchObject({ code: 'CORRUPT', file: path });
    });
  });

  it('anywhere in the tail file is harmless and reported', async () => {
    await flipAll(TAIL, 1, (found) => {
      expect(found).toMatchObject({ recovery: { wasClosed: false }, isFoundByVerify: false });
    });
  });

  it('in a table stops the merge of it, is reported until the end, and takes nothing else along', async () => {
    for (const path of victim.tables) {
      const size = victim.disk.readFile(path).length;
      for (const offset of [0, 50, 60, size - 200, size - 100, size - 1]) {
        const disk = victim.disk.clone();
        disk.flipBit(path, offset, 3);
        const store = await openOn(disk, options);
        const merged = store.compact();
        await expect(merged).rejects.toMatchObject({ code: 'CORRUPT' });
        await expect(store.settled()).rejects.toMatchObject({ code: 'CORRUPT', file: path });
        expect(store.stats().background.error).toMatchObject({ code: 'CORRUPT', file: path });
        await store.put('late', bytesOf('still taken'));
        await store.flush();
        expect(disk.paths()).toContain(path);
        const late = { value: 'still taken', version: store.lastVersion };
        const content = new Map(victim.content).set('late', late);
        readAll(store, { ...victim, content });
        await store.close();
        disk.flipBit(path, offset, 3);
        const mended = await openOn(disk, tinyOptions);
        await mended.settled();
        await mended.compact();
        expect(contentProblem(mended, content)).toBeUndefined();
        expect(await mended.verify()).toMatchObject({ ok: true });
        await mended.close();
      }
    }
  });
});
