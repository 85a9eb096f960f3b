/** What stands in a store's folder, and what other programs do with it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type EventStore, open, VarveError } from 'varve';
import { openKv } from 'varve/kv';
import { SimulatedFileSystem } from 'varve/testing';
import { afterAll, afterEach, describe, expect, it } from 'vitest';

const root = mkdtempSync(join(tmpdir(), 'varve-folder-'));
const children = new Set<ChildProcess>();
afterEach(() => {
  for (const child of children) {
    child.kill('SIGKILL');
  }
  children.clear();
});
afterAll(() => rmSync(root, { recursive: true }));

function isNoLock(path: string): boolean {
  return !basename(path).startsWith('.lock-');
}

let count = 0;
function makePath(): string {
  count += 1;
  return join(root, `store-${count}`);
}

async function openWith(path: string, data: string): Promise<EventStore> {
  const store = await open(path);
  await store.append('s', [{ type: 'noted', data }]);
  return store;
}

describe('a backup into the store itself', () => {
  it.each(['directly', 'by a link', 'by a link to a link', 'by a link deep inside'] as const)(
    'is refused: %s',
    async (way) => {
      const path = makePath();
      const store = await openWith(path, 'kept');
      const link = `${path}-link`;
      symlinkSync(way === 'by a link deep inside' ? join(path, 'log') : path, link);
      const second = `${path}-second-link`;
      symlinkSync(link, second);
      const folder = { directly: path, 'by a link to a link': second }[way as string] ?? link;
      for (const target of [folder, join(folder, 'copy')]) {
        await expect(store.backup(target)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      }
      await store.close();
      await (await openWith(path, 'more')).close();
    },
  );

  it('is refused when the store was opened by a link, and one to elsewhere is not', async () => {
    const path = makePath();
    await (await openWith(path, 'kept')).close();
    symlinkSync(path, `${path}-link`);
    mkdirSync(`${path}-elsewhere`);
    symlinkSync(`${path}-elsewhere`, `${path}-link-elsewhere`);
    const store = await open(`${path}-link`);
    await expect(store.backup(join(path, 'copy'))).rejects.toThrow('in the folder of the store');
    await store.backup(`${path}-link-elsewhere/copy`);
    await store.close();
    const copy = await open(`${path}-elsewhere/copy`);
    expect((await copy.get(0))?.data).toBe('kept');
    await copy.close();
  });
});

describe('the root of a file system', () => {
  type OpenStore = (
    path: string,
    fileSystem: SimulatedFileSystem,
  ) => Promise<{ close(): Promise<void> }>;
  const kinds: readonly [string, OpenStore][] = [
    ['event store', (path, fileSystem) => open(path, {}, { fileSystem })],
    ['key-value store', (path, fileSystem) => openKv(path, {}, { fileSystem })],
  ];

  it.each(kinds)('is no place for a new %s, and a folder in it is', async (_, openStore) => {
    const disk = new SimulatedFileSystem();
    disk.writeFile('/mnt/lost+found/x', new Uint8Array(0));
    const failure = await openStore('/mnt', disk).catch(String);
    expect(failure).toContain('use a folder in it, such as /mnt/store');
    const store = await openStore('/mnt/store', disk);
    await store.close();
  });

  it.each(kinds)('is not where a store can go on: %s', async (_, openStore) => {
    const disk = new SimulatedFileSystem();
    await (await openStore('/mnt', disk)).close();
    disk.writeFile('/mnt/lost+found/x', new Uint8Array(0));
    await expect(openStore('/mnt', disk)).rejects.toMatchObject({
      code: 'FOREIGN_FILE',
      message:
        '/mnt/lost+found is not a file of this store: the root of a file system has one, so if this is one, use a folder in it, such as /mnt/store.',
    });
  });
});

describe('a folder that other programs copy', () => {
  it('is copied by fs.cp when the store is at rest', async () => {
    const path = makePath();
    await (await openWith(path, 'kept')).close();
    await cp(path, `${path}-copy`, { recursive: true });
    const copy = await open(`${path}-copy`);
    expect((await copy.get(0))?.data).toBe('kept');
    await copy.close();
  });

  it('is copied by fs.cp after a crash, without the names of the lock', async () => {
    const path = makePath();
    await (await openWith(path, 'kept')).close();
    const lockUrl = new URL('../../dist/io/directory-lock.js', import.meta.url).href;
    const holder = fork(join(import.meta.dirname, '../fixtures/lock-holder.js'), [lockUrl, path], {
      execArgv: [],
    });
    children.add(holder);
    const [report] = (await once(holder, 'message')) as [{ readonly outcome: string }];
    expect(report.outcome).toBe('held');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect(readdirSync(path).some((name) => name.startsWith('.lock-'))).toBe(true);
    await cp(path, `${path}-copy`, { recursive: true, filter: isNoLock });
    const copy = await open(`${path}-copy`);
    expect((await copy.get(0))?.data).toBe('kept');
    await copy.close();
    expect(existsSync(join(`${path}-copy`, 'LOCK'))).toBe(false);
  });

  it('is not opened while it is open elsewhere, wherever its path leads', async () => {
    const path = makePath();
    const store = await openWith(path, 'kept');
    symlinkSync(path, `${path}-link`);
    const error = await open(`${path}-link`).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(VarveError);
    expect(error).toMatchObject({ code: 'LOCKED' });
    await store.close();
  });
});
