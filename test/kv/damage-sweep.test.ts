/**
 * Every damage to a key-value store at rest, one at a time: one bit of each byte of each file flipped (every bit with
 * VARVE_SWEEP=all), each file cut at each length, removed, swapped, foreign files added. The store is refused with the place
 * of the damage and left as it is, or every read gives what was written or the place of the damage.
 */
import { CorruptionError, type KvRecovery, type KvStore, openKv, VarveError } from 'varve/kv';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { repairKv } from '../../dist/kv/kv-repair.js';
import {
  applyWish,
  bytesOf,
  calmOptions,
  type Content,
  contentProblem,
  type Entry,
  KV_STORE,
  type Operation,
  type Put,
  textOfBytes,
  tinyOptions,
  valuesOf,
  type Wish,
} from './wishes.ts';

const flipsEverything = process.env['VARVE_SWEEP'] === 'all';
const MANIFEST = `${KV_STORE}/manifest`;
const LOG = `${KV_STORE}/log/00000000000000000000.seg`;
const TAIL = `${KV_STORE}/log/tail`;
const options = { ...calmOptions, memtableBytes: 4_096 };

interface Victim {
  readonly disk: SimulatedFileSystem;
  readonly content: Content;
  /** Every key that was ever written. */
  readonly keys: readonly string[];
  readonly tables: readonly string[];
}

let victim: Victim;
beforeAll(async () => {
  victim = await makeVictim(1);
});

function put(name: string, value: string): Put {
  return { type: 'put', key: name, value };
}

function key(number: number): string {
  return `k/${String(number).padStart(2, '0')}`;
}

/** Tables of three levels, an ingested one among them, deleted keys and ranges, and writes that only the log has. */
async function makeVictim(seed: number): Promise<Victim> {
  const disk = new SimulatedFileSystem();
  const store = await openOn(disk, options, seed);
  const content = new Map<string, Entry>();
  const keys = new Set<string>();
  let version = 0;
  const note = (wish: Wish): void => {
    version = applyWish(content, wish, version);
    for (const one of content.keys()) {
      keys.add(one);
    }
  };
  const send = async (operations: readonly Operation[]): Promise<void> => {
    note({ kind: 'batch', operations });
    const given = operations.map((one) =>
      one.type === 'put' ? { ...one, value: bytesOf(one.value) } : one,
    );
    expect(await store.batch(given)).toBe(version);
  };
  const numbers = Array.from({ length: 16 }, (_, index) => index);
  await send(numbers.map((number) => put(key(number), `old ${number} of ${seed}`)));
  await store.compact();
  await store.flush();
  await send([
    put('', 'empty'),
    put('\0', ''),
    { type: 'delete', key: key(3) },
    put(key(5), 'new'),
  ]);
  await send([{ type: 'deleteRange', gte: key(8), lt: key(11) }, put(key(9), 'again')]);
  await store.flush();
  const entries = [put(key(12), 'ingested'), put(key(13), 'x'.repeat(200))];
  await store.ingest(entries.map((one) => [one.key, bytesOf(one.value)] as const));
  note({ kind: 'ingest', entries });
  await send([put(key(1), 'in the log'), { type: 'delete', key: key(2) }, put('z', 'last')]);
  const tables = store.tables().map(({ number }) => tablePathOf(number));
  expect(new Set(store.tables().map(({ level }) => level)).size).toBeGreaterThan(1);
  expect(contentProblem(store, content)).toBeUndefined();
  await store.close();
  return { disk, content, keys: [...keys], tables };
}

function tablePathOf(number: number): string {
  return `${KV_STORE}/tables/${String(number).padStart(20, '0')}.tbl`;
}

async function openOn(fileSystem: SimulatedFileSystem, given: object, seed = 1): Promise<KvStore> {
  const clock = new SimulatedClock({ tickMs: 1 });
  return openKv(KV_STORE, given, { fileSystem, clock, random: new SeededRandom(seed) });
}

/** What came of opening and reading a damaged store. */
interface Outcome {
  readonly refused?: VarveError;
  readonly recovery?: KvRecovery;
  /** The first damage that a read met. */
  readonly met?: CorruptionError;
  readonly isFoundByVerify?: boolean;
}

/** Holds after any damage: refused and unchanged, or no read gives anything but what was written or an error with the place. */
async function checkDamaged(disk: SimulatedFileSystem, from: Victim = victim): Promise<Outcome> {
  const digest = disk.snapshotDigest();
  const paths = disk.paths();
  let store: KvStore;
  try {
    store = await openOn(disk, options);
  } catch (error) {
    expect(disk.snapshotDigest(), 'a refused store is not changed').toBe(digest);
    expect(disk.openCount, 'a refused store has no open files').toBe(0);
    return { refused: coded(error) };
  }
  const met = readAll(store, from);
  const { ok, problems } = await store.verify();
  if (!ok) {
    expect(problems[0]!.file).toBe(met?.file ?? problems[0]!.file);
  }
  expect(met === undefined || !ok, 'verify finds what reads meet').toBe(true);
  expect(disk.paths(), 'no file goes').toEqual(expect.arrayContaining(paths));
  return { recovery: store.recovery, ...(met ? { met } : {}), isFoundByVerify: !ok };
}

function coded(error: unknown): VarveError {
  if (!(error instanceof VarveError) || error.kind === 'internal') {
    throw error;
  }
  return error;
}

/** The damage that reads meet, if they do; otherwise what they give must be right. */
function readAll(store: KvStore, { content, keys }: Victim): CorruptionError | undefined {
  let met: CorruptionError | undefined;
  const attempt = (read: () => void): void => {
    try {
      read();
    } catch (error) {
      if (!(error instanceof CorruptionError)) {
        throw error;
      }
      met ??= error;
    }
  };
  for (const one of [...keys, 'k/', 'nothing', key(99)]) {
    attempt(() => {
      const entry = store.getEntrySync(bytesOf(one));
      const wanted = content.get(one);
      const isRight = entry?.version === wanted?.version && textOf(entry?.value) === wanted?.value;
      if (!isRight) {
        expect(entry, `what is got for ${JSON.stringify(one)}`).toEqual(wanted);
      }
    });
  }
  for (const reverse of [false, true]) {
    const wanted = reverse ? valuesOf(content).toReversed() : valuesOf(content);
    attempt(() => {
      let index = 0;
      for (const [keyBytes, value] of store.iterateSync({ reverse })) {
        const found = [textOfBytes(keyBytes), textOfBytes(value)];
        if (found[0] !== wanted[index]?.[0] || found[1] !== wanted[index]?.[1]) {
          expect(found, `entry ${index}`).toEqual(wanted[index]);
        }
        index += 1;
      }
      expect(index, 'entries iterated').toBe(wanted.length);
    });
  }
  return met;
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : textOfBytes(bytes);
}

function* bitsOf(size: number): Generator<number> {
  const random = new SeededRandom(size);
  for (let offset = 0; offset < size; offset += 1) {
    const first = flipsEverything ? 0 : random.below(8);
    for (let bit = first; bit < (flipsEverything ? 8 : first + 1); bit += 1) {
      yield offset * 8 + bit;
    }
  }
}

async function flipAll(
  path: string,
  judge: (found: Outcome, offset: number) => void,
): Promise<void> {
  for (const bit of bitsOf(victim.disk.readFile(path).length)) {
    const disk = victim.disk.clone();
    disk.flipBit(path, bit >>> 3, bit & 7);
    try {
      judge(await checkDamaged(disk), bit >>> 3);
    } catch (error) {
      throw new Error(`${path}, byte ${bit >>> 3}, bit ${bit & 7}: ${String(error)}`, {
        cause: error,
      });
    }
  }
}

describe('a flipped bit', () => {
  it('anywhere in a table is met by a read and located, and nothing else suffers', async () => {
    for (const path of victim.tables) {
      await flipAll(path, ({ refused, met, isFoundByVerify }, offset) => {
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
    await flipAll(path, ({ refused }) => {
      expect(refused).toMatchObject({ code: 'CORRUPT', file: path });
    });
  });

  it('anywhere in the tail file is harmless and reported', async () => {
    await flipAll(TAIL, (found) => {
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

describe('a file cut short', () => {
  it('is refused and named at every length, but for the tail file, which is reported', async () => {
    for (const path of victim.disk.paths()) {
      const whole = victim.disk.readFile(path);
      for (let size = 0; size < whole.length; size += path === LOG ? 3 : 1) {
        const disk = victim.disk.clone();
        disk.writeFile(path, whole.subarray(0, size));
        const { refused, recovery } = await checkDamaged(disk);
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
        const { refused, recovery } = await checkDamaged(disk);
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
      const { refused, recovery } = await checkDamaged(disk);
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
    expect((await checkDamaged(disk)).refused).toMatchObject({ code: 'CORRUPT', file });
    disk.rename(file, '/elsewhere');
    expect((await checkDamaged(disk)).refused).toMatchObject({ code: 'CORRUPT', file });
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
      expect(repairKv(disk, KV_STORE, { apply: true })).toMatchObject({ outcome: 'repaired' });
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
      const report = repairKv(cut, KV_STORE, { apply: true });
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
    const { refused, met } = await checkDamaged(disk);
    expect(refused ?? met).toMatchObject({ code: 'CORRUPT' });
  });

  it('are found out if a table is that of another store with the same number and size', async () => {
    const foreign = await makeVictim(2);
    for (const path of victim.tables) {
      const disk = victim.disk.clone();
      const bytes = foreign.disk.readFile(path);
      expect(bytes).toHaveLength(disk.readFile(path).length);
      disk.writeFile(path, bytes);
      const { met } = await checkDamaged(disk);
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
    expect((await checkDamaged(disk)).refused).toMatchObject({ code: 'CORRUPT' });
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
    const { refused } = await checkDamaged(disk);
    expect(refused).toMatchObject({ code: 'FOREIGN_FILE' });
  });

  it('that is a table of another store is refused and left alone', async () => {
    const other = await makeVictim(2);
    const disk = victim.disk.clone();
    const path = tablePathOf(99);
    disk.writeFile(path, other.disk.readFile(other.tables[0]!));
    expect((await checkDamaged(disk)).refused).toMatchObject({ code: 'FOREIGN_FILE' });
  });

  it('whose name begins with a dot is left alone', async () => {
    const disk = victim.disk.clone();
    disk.writeFile(`${KV_STORE}/.DS_Store`, Buffer.from('mine'));
    disk.writeFile(`${KV_STORE}/tables/.nfs0001`, Buffer.from('mine'));
    expect(await checkDamaged(disk)).toMatchObject({ recovery: { wasClosed: true } });
  });
});
