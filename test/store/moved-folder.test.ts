/** The folder of an open store is moved away, and another store appears at its path; or the lock's own names are removed. */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EventStore, open, type StoreComponents, type StoreOptions, VarveError } from 'varve';
import { SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';

const root = mkdtempSync(join(tmpdir(), 'varve-moved-'));
afterAll(() => rmSync(root, { recursive: true }));

const isLinux = process.platform === 'linux';
/** A few of them fill the first segment. */
const large = 'x'.repeat(200_000);

describe.runIf(isLinux).each(['thread', 'inline'] as const)(
  'an open store whose folder is moved (%s)',
  (writer) => {
    it('keeps to its own folder beside a new store at its path, and ends writing', async () => {
      const { path, moved } = makePaths();
      const store = await open(path, settings(writer));
      const kept = [await append(store, 'old', 'before')];
      renameSync(path, moved);
      const other = await open(path, settings(writer));
      await append(other, 'new', 'theirs');
      await other.close();
      const before = contentOf(path);
      const { acknowledged, error } = await appendUntilRefused(store);
      kept.push(...acknowledged);
      checkEnded(error, path, 'folder');
      expect((await store.get(0))?.data).toBe('before');
      expect(store.segments().map((segment) => segment.path)).toContain(
        join(path, 'log', `${'0'.repeat(20)}.seg`),
      );
      await store.close();
      expect(contentOf(path)).toEqual(before);
      expect(await dataOf(path)).toEqual(['theirs']);
      expect((await dataOf(moved)).slice(0, kept.length)).toEqual(kept);
    });

    it('keeps to its own folder beside a restored copy at its path', async () => {
      const { path, moved } = makePaths();
      const first = await open(path, settings(writer));
      await append(first, 'old', 'before');
      await first.close();
      const store = await open(path, settings(writer));
      const kept = ['before', await append(store, 'old', 'since')];
      const copy = `${path}-copy`;
      await store.backup(copy);
      renameSync(path, moved);
      renameSync(copy, path);
      const before = contentOf(path);
      const { acknowledged, error } = await appendUntilRefused(store);
      checkEnded(error, path, 'folder');
      await store.close();
      expect(contentOf(path)).toEqual(before);
      expect(await dataOf(path)).toEqual(kept);
      const found = await dataOf(moved);
      expect(found.slice(0, kept.length + acknowledged.length)).toEqual([...kept, ...acknowledged]);
    });

    it('leaves the other store alone when it is closed before it has noticed', async () => {
      const { path, moved } = makePaths();
      const store = await open(path, settings(writer));
      await append(store, 'old', 'before');
      renameSync(path, moved);
      const other = await open(path, settings(writer));
      await append(other, 'new', 'theirs');
      // It may have noticed while it was idle, and then there is nothing to complain about.
      await store.close().catch(() => {});
      await expect(open(path)).rejects.toMatchObject({ code: 'LOCKED' });
      await other.close();
      expect(readdirSync(moved).toSorted()).toEqual(['derived', 'log', 'store.json']);
      expect(await dataOf(moved)).toEqual(['before']);
      expect(await dataOf(path)).toEqual(['theirs']);
    });

    it('ends writing when the folder is removed', async () => {
      const { path } = makePaths();
      const store = await open(path, settings(writer));
      await append(store, 'old', 'before');
      rmSync(path, { recursive: true });
      const { error } = await appendUntilRefused(store);
      // Its names go one after the other: the writer may look while the lock's are gone and the folder isn't.
      checkEnded(error, path, 'folder', 'lock');
      await store.close();
      expect(existsSync(path)).toBe(false);
    });
  },
);

describe.runIf(isLinux).each(['thread', 'inline'] as const)(
  "an open store whose lock's names are removed (%s)",
  (writer) => {
    it('is still known to be open, and writes no more', async () => {
      const { path } = makePaths();
      const store = await open(path, settings(writer));
      await append(store, 's', 'first');
      removeLockNames(path);
      await expect(open(path)).rejects.toMatchObject({
        code: 'LOCKED',
        details: { holder: { pid: process.pid } },
      });
      const error = await append(store, 's', 'lost').catch((thrown: unknown) => thrown);
      checkEnded(error, path, 'lock');
      await store.close();
      expect((await dataOf(path))[0]).toBe('first');
    });

    it('loses no acknowledged event to a second owner, whoever appends first', async () => {
      for (const order of ['second', 'first'] as const) {
        const { path } = makePaths();
        const store = await open(path, settings(writer));
        await append(store, 's', 'first');
        removeLockNames(path);
        unlinkSync(join(path, 'LOCK'));
        const refused = async (): Promise<void> => {
          const error = await append(store, 's', 'lost').catch((thrown: unknown) => thrown);
          checkEnded(error, path, 'lock');
        };
        if (order === 'first') {
          await refused();
        }
        const second = await open(path, settings(writer));
        await append(second, 's', 'second');
        await refused();
        await append(second, 's', 'third');
        await store.close();
        await expect(open(path)).rejects.toMatchObject({ code: 'LOCKED' });
        await append(second, 's', 'fourth');
        await second.close();
        expect(await dataOf(path)).toEqual(['first', 'second', 'third', 'fourth']);
      }
    });

    it('cuts nothing off when it is closed beside a second owner', async () => {
      const { path } = makePaths();
      const store = await open(path, settings(writer));
      await append(store, 's', 'first');
      removeLockNames(path);
      unlinkSync(join(path, 'LOCK'));
      const second = await open(path, settings(writer));
      await append(second, 's', 'second');
      await store.close().catch(() => {});
      await append(second, 's', 'third');
      await second.close();
      expect(await dataOf(path)).toEqual(['first', 'second', 'third']);
    });
  },
);

describe('a store that is opened and closed', () => {
  it.runIf(isLinux)('keeps no descriptor', async () => {
    const { path } = makePaths();
    const openOnce = async (): Promise<void> => {
      const store = await open(path, settings('inline'));
      await append(store, 's', 'x');
      await expect(open(path)).rejects.toMatchObject({ code: 'LOCKED' });
      await store.close();
    };
    await openOnce();
    const count = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 10; round += 1) {
      await openOnce();
    }
    expect(readdirSync('/proc/self/fd').length).toBe(count);
  });
});

describe('a store on a disk where only paths lead to folders', () => {
  it('touches nothing in the store that has come to its path', async () => {
    const disk = new SimulatedFileSystem();
    const store = await open('/data/store', {}, components(disk));
    await append(store, 's', 'ours');
    disk.rename('/data/store', '/data/moved');
    const other = await open('/data/store', {}, components(disk));
    await append(other, 's', 'theirs');
    await other.close();
    const before = disk.readFile('/data/store/log/tail');
    const { error } = await appendUntilRefused(store);
    checkEnded(error, '/data/store', 'folder');
    await store.close();
    expect(disk.readFile('/data/store/log/tail')).toEqual(before);
    expect(disk.paths().filter((name) => /^\/data\/store\/(?!derived\/)/.test(name))).toEqual([
      `/data/store/log/${'0'.repeat(20)}.seg`,
      '/data/store/log/tail',
      '/data/store/store.json',
    ]);
    const found = await open('/data/moved', {}, components(disk));
    expect((await found.get(0))?.data).toBe('ours');
  });

  it('acknowledges nothing that was written while its lock was being removed', async () => {
    const disk = new SimulatedFileSystem();
    const store = await open('/data/store', {}, components(disk));
    await append(store, 's', 'first');
    disk.holdSyncs();
    const appended = append(store, 's', 'second').catch((thrown: unknown) => thrown);
    await until(() => disk.pendingCount > 0);
    disk.removeLock('/data/store');
    disk.releaseSyncs();
    const error = await appended;
    checkEnded(error, '/data/store', 'lock');
    expect(error).toMatchObject({ applied: 'unknown' });
    await store.close();
  });
});

function components(fileSystem: SimulatedFileSystem): StoreComponents {
  return { fileSystem, clock: new SimulatedClock() };
}

let pathCount = 0;
function makePaths(): { readonly path: string; readonly moved: string } {
  pathCount += 1;
  const path = join(root, `store-${pathCount}`);
  return { path, moved: `${path}-moved` };
}

function settings(writer: 'thread' | 'inline'): StoreOptions {
  return { background: writer, maxSegmentBytes: 1024 * 1024, maxOpenFiles: 1, compression: 'none' };
}

async function append(store: EventStore, stream: string, data: string): Promise<string> {
  await store.append(stream, [{ type: 'noted', data }]);
  return data;
}

async function appendUntilRefused(
  store: EventStore,
): Promise<{ readonly acknowledged: readonly string[]; readonly error: unknown }> {
  const acknowledged: string[] = [];
  for (let count = 0; count < 40; count += 1) {
    try {
      acknowledged.push(await append(store, 'old', `${count} ${large}`));
    } catch (error) {
      return { acknowledged, error };
    }
  }
  return { acknowledged, error: undefined };
}

function checkEnded(error: unknown, path: string, ...lost: readonly ('folder' | 'lock')[]): void {
  expect(error).toBeInstanceOf(VarveError);
  expect(error).toMatchObject({ code: 'POISONED', details: { directory: path } });
  expect(lost).toContain((error as VarveError).details['lost']);
  const { message, cause } = error as VarveError;
  expect(message).toContain(`the store opened at ${path}`);
  expect(`${message}${String(cause)}`).not.toContain('/proc/');
}

/** All names below a folder at rest, with digests of what the files hold. */
function contentOf(path: string): readonly string[] {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return entries.map((entry) => {
    const name = join(entry.parentPath, entry.name);
    const digest = entry.isFile()
      ? createHash('sha256').update(readFileSync(name)).digest('hex')
      : '';
    return `${name} ${digest}`;
  });
}

function removeLockNames(path: string): void {
  for (const name of readdirSync(path).filter((entry) => entry.startsWith('.lock-'))) {
    unlinkSync(join(path, name));
  }
}

/** Opens a copy, so that a store that is open elsewhere is not in the way, and checks it. */
async function dataOf(path: string): Promise<unknown[]> {
  pathCount += 1;
  const copy = join(root, `copy-${pathCount}`);
  cpSync(path, copy, { recursive: true, filter: (name) => !name.includes('.lock-') });
  const store = await open(copy);
  try {
    expect((await store.verify()).findings).toEqual([]);
    const found: unknown[] = [];
    for await (const event of store.read()) {
      found.push(event.data);
    }
    return found;
  } finally {
    await store.close();
  }
}

async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000 && !isSo(); turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
