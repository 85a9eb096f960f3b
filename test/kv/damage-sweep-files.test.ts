/**
 * Files of a key-value store at rest that are cut, have grown, are missing, foreign or in the place of others. The store is
 * refused with the place of the damage and left as it is, or every read gives what was written or the place of the damage.
 */
import { openKv } from 'varve/kv';
import { SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { repairHeld } from '../../dist/kv/store/kv-repair.js';
import { isInStride, strideTitle } from '../stride.ts';
import {
  checkDamaged,
  key,
  LOG,
  makeVictim,
  MANIFEST,
  openOn,
  options,
  tablePathOf,
  TAIL,
  type Victim,
} from './damage.ts';
import { bytesOf, contentProblem, type Entry, KV_STORE } from './wishes.ts';

let victim: Victim;
beforeAll(async () => {
  victim = await makeVictim(1);
});

describe('a file cut short', () => {
  it(`is refused and named at any length, but for the tail file, which is reported (${strideTitle})`, async () => {
    for (const path of victim.disk.paths()) {
      const whole = victim.disk.readFile(path);
      for (let size = 0; size < whole.length; size += 1) {
        if (!isInStride(size, path === LOG ? 9 : 3)) {
          continue;
        }
        const disk = victim.disk.clone();
        disk.writeFile(path, whole.subarray(0, size));
        const { refused, recovery } = await checkDamaged(disk, victim);
        if (path === TAIL) {
          expect(recovery).toMatchObject({ wasClosed: false });
        } else {
          expect(refused, `${path} cut at ${size}`).toMatchObject({ code: 'CORRUPT', file: path });
        }
      }
    }
  });
});

describe('a file that grew', () => {
  it('is refused, or harmless and reported', async () => {
    for (const path of victim.disk.paths()) {
      for (const extra of [new Uint8Array(1), bytesOf('foreign')]) {
        const disk = victim.disk.clone();
        disk.writeFile(path, Buffer.concat([disk.readFile(path), extra]));
        const { refused, recovery } = await checkDamaged(disk, victim);
        if (path === LOG || path === TAIL) {
          expect(recovery, path).toMatchObject({ wasClosed: false });
        } else {
          expect(refused, path).toMatchObject({ code: 'CORRUPT', file: path });
        }
      }
    }
  });
});

describe('a missing file', () => {
  it('is refused and named, but for the tail file, which is reported', async () => {
    for (const path of victim.disk.paths()) {
      const disk = victim.disk.clone();
      disk.removeFile(path);
      const { refused, recovery } = await checkDamaged(disk, victim);
      if (path === TAIL) {
        expect(recovery).toMatchObject({ wasClosed: false });
      } else {
        const file = path === LOG ? `${KV_STORE}/log` : path;
        expect(refused, path).toMatchObject({ code: 'CORRUPT', file });
      }
    }
  });

  it('is refused if it is all of the log, or its folder', async () => {
    const disk = victim.disk.clone();
    disk.removeFile(LOG);
    disk.removeFile(TAIL);
    const file = `${KV_STORE}/log`;
    expect((await checkDamaged(disk, victim)).refused).toMatchObject({ code: 'CORRUPT', file });
    disk.rename(file, '/elsewhere');
    expect((await checkDamaged(disk, victim)).refused).toMatchObject({ code: 'CORRUPT', file });
  });
});

describe('a missing or damaged manifest', () => {
  const damages: Readonly<Record<string, (disk: SimulatedFileSystem) => void>> = {
    missing: (disk) => disk.removeFile(MANIFEST),
    damaged: (disk) => disk.flipBit(MANIFEST, 99, 1),
    empty: (disk) => disk.writeFile(MANIFEST, new Uint8Array()),
    'of another store': (disk) => disk.writeFile(MANIFEST, Buffer.alloc(400, 7)),
  };

  it.each(Object.entries(damages))(
    '(%s) is refused with a word on repair, which brings everything back',
    async (_name, damage) => {
      const from = await makeRepairable();
      const disk = from.disk.clone();
      damage(disk);
      const { refused } = await checkDamaged(disk, from);
      expect(refused).toMatchObject({ code: 'CORRUPT', file: MANIFEST });
      expect(refused!.message).toContain('varve kv repair');
      expect(repairHeld(disk, KV_STORE, { apply: true })).toMatchObject({ outcome: 'repaired' });
      const { met, isFoundByVerify } = await checkDamaged(disk, from);
      expect(met).toBeUndefined();
      expect(isFoundByVerify).toBe(false);
    },
  );

  it('is refused beside tables alone, of a backup, which has an empty log', async () => {
    const disk = victim.disk.clone();
    const store = await openOn(disk, options);
    await store.backup('/home/backup');
    await store.close();
    disk.removeFile('/home/backup/manifest');
    const paths = disk.paths();
    const clock = new SimulatedClock();
    const opened = openKv('/home/backup', options, { fileSystem: disk, clock });
    await expect(opened).rejects.toMatchObject({ code: 'CORRUPT', file: '/home/backup/manifest' });
    expect(disk.paths()).toEqual(paths);
  });

  it('is repaired, too, while inputs of finished merges and outputs of unfinished ones lie about', async () => {
    const from = await makeRepairable();
    const disk = from.disk.clone();
    const cuts: SimulatedFileSystem[] = [];
    const store = await openOn(disk, options);
    disk.onBeforeOperation = ({ kind }) => {
      if (kind === 'create' || kind === 'remove' || kind === 'rename') {
        cuts.push(disk.clone());
      }
    };
    await store.compact();
    disk.onBeforeOperation = undefined;
    await store.close();
    expect(cuts.length).toBeGreaterThan(5);
    for (const [index, cut] of cuts.entries()) {
      cut.removeFile(MANIFEST);
      const report = repairHeld(cut, KV_STORE, { apply: true });
      expect(report, `cut ${index}`).toMatchObject({ outcome: 'repaired', damaged: [] });
      const reopened = await openOn(cut, options);
      expect(contentProblem(reopened, from.content), `cut ${index}`).toBeUndefined();
    }
  });
});

/** Without an ingested table: what it counts as written with is in the manifest alone. */
async function makeRepairable(): Promise<Victim> {
  const disk = new SimulatedFileSystem();
  const store = await openOn(disk, options);
  const content = new Map<string, Entry>();
  for (const round of ['first', 'second', 'third']) {
    for (let number = 0; number < 12; number += 1) {
      const name = round === 'first' ? key(number) : key(number * 2);
      const version = await store.put(name, bytesOf(`${round} ${number}`));
      content.set(name, { value: `${round} ${number}`, version });
    }
    await (round === 'first' ? store.compact() : store.flush());
  }
  const version = await store.put('in the log', bytesOf('!'));
  content.set('in the log', { value: '!', version });
  await store.delete(key(2));
  content.delete(key(2));
  const tables = store.tables().map(({ number }) => tablePathOf(number));
  await store.close();
  return { disk, content, keys: [...content.keys(), key(2)], tables };
}

describe('files that changed places', () => {
  it('are found out', async () => {
    const [one, other] = victim.tables;
    const disk = victim.disk.clone();
    const [first, second] = [disk.readFile(one!), disk.readFile(other!)];
    disk.writeFile(one!, second);
    disk.writeFile(other!, first);
    const { refused, met } = await checkDamaged(disk, victim);
    expect(refused ?? met).toMatchObject({ code: 'CORRUPT' });
  });

  it('are found out if a table is that of another store with the same number and size', async () => {
    const foreign = await makeVictim(2);
    for (const path of victim.tables) {
      const disk = victim.disk.clone();
      const bytes = foreign.disk.readFile(path);
      expect(bytes).toHaveLength(disk.readFile(path).length);
      disk.writeFile(path, bytes);
      const { met } = await checkDamaged(disk, victim);
      expect(met).toMatchObject({ code: 'CORRUPT', file: path });
    }
  });

  it('are found out if a file is an older version of itself', async () => {
    const disk = victim.disk.clone();
    const before = { manifest: disk.readFile(MANIFEST), log: disk.readFile(LOG) };
    const store = await openOn(disk, options);
    await store.put('newer', bytesOf('than the copy'));
    await store.flush();
    await store.close();
    disk.writeFile(LOG, before.log);
    expect((await checkDamaged(disk, victim)).refused).toMatchObject({ code: 'CORRUPT' });
  });
});

describe('a foreign file', () => {
  const foreign = [
    `${KV_STORE}/notes.txt`,
    `${KV_STORE}/tables/notes.txt`,
    `${KV_STORE}/tables/1.tbl`,
    `${KV_STORE}/tables/00000000000000000099.tbl`,
    `${KV_STORE}/tables/00000000000000000099.tbl.tmp`,
    `${KV_STORE}/tables/folder/file`,
    `${KV_STORE}/log/notes.txt`,
    `${KV_STORE}/tables.bak/1`,
  ];

  it.each(foreign)('%s is refused and left alone', async (path) => {
    const disk = victim.disk.clone();
    disk.writeFile(path, Buffer.alloc(300, 'mine'));
    const { refused } = await checkDamaged(disk, victim);
    expect(refused).toMatchObject({ code: 'FOREIGN_FILE' });
  });

  it('that is a table of another store is refused and left alone', async () => {
    const other = await makeVictim(2);
    const disk = victim.disk.clone();
    const path = tablePathOf(99);
    disk.writeFile(path, other.disk.readFile(other.tables[0]!));
    expect((await checkDamaged(disk, victim)).refused).toMatchObject({ code: 'FOREIGN_FILE' });
  });

  it('whose name begins with a dot is left alone', async () => {
    const disk = victim.disk.clone();
    disk.writeFile(`${KV_STORE}/.DS_Store`, Buffer.from('mine'));
    disk.writeFile(`${KV_STORE}/tables/.nfs0001`, Buffer.from('mine'));
    expect(await checkDamaged(disk, victim)).toMatchObject({ recovery: { wasClosed: true } });
  });
});
