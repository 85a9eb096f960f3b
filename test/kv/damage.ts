/** A key-value store that is small enough to damage in every byte, and what must hold after each damage. */
import {
  CorruptionError,
  type KvOptions,
  type KvRecovery,
  type KvStore,
  openKv,
  VarveError,
} from 'varve/kv';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { expect } from 'vitest';
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
  valuesOf,
  type Wish,
} from './wishes.ts';

export const MANIFEST: string = `${KV_STORE}/manifest`;
/** Nobody but repair reads it, and every open makes it anew. */
export const MANIFEST_COPY: string = `${MANIFEST}.copy`;
export const LOG: string = `${KV_STORE}/log/00000000000000000000.seg`;
export const TAIL: string = `${KV_STORE}/log/tail`;
export const options: KvOptions = { ...calmOptions, memtableBytes: 4_096 };

export interface Victim {
  readonly disk: SimulatedFileSystem;
  readonly content: Content;
  /** Every key that was ever written. */
  readonly keys: readonly string[];
  readonly tables: readonly string[];
}

function put(name: string, value: string): Put {
  return { type: 'put', key: name, value };
}

export function key(number: number): string {
  return `k/${String(number).padStart(2, '0')}`;
}

/** Tables of three levels, an ingested one among them, deleted keys and ranges, and writes that only the log has. */
export async function makeVictim(seed: number): Promise<Victim> {
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

export function tablePathOf(number: number): string {
  return `${KV_STORE}/tables/${String(number).padStart(20, '0')}.tbl`;
}

export async function openOn(
  fileSystem: SimulatedFileSystem,
  given: object,
  seed = 1,
): Promise<KvStore> {
  const clock = new SimulatedClock({ tickMs: 1 });
  return openKv(KV_STORE, given, { fileSystem, clock, random: new SeededRandom(seed) });
}

/** What came of opening and reading a damaged store. */
export interface Outcome {
  readonly refused?: VarveError;
  readonly recovery?: KvRecovery;
  /** The first damage that a read met. */
  readonly met?: CorruptionError;
  readonly isFoundByVerify?: boolean;
}

/** Holds after any damage: refused and unchanged, or no read gives anything but what was written or an error with the place. */
export async function checkDamaged(disk: SimulatedFileSystem, from: Victim): Promise<Outcome> {
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
export function readAll(store: KvStore, { content, keys }: Victim): CorruptionError | undefined {
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
