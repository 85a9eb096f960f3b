/** The folder of an open key-value store is moved away, and another store appears at its path; or the lock's own names are removed. */
import { createHash } from 'node:crypto';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KvOptions, type KvStore, openKv, VarveError } from 'varve/kv';
import { afterAll, describe, expect, it } from 'vitest';
import { codeOf, disk, openOn, text } from './simulated-store.ts';

const root = mkdtempSync(join(tmpdir(), 'varve-kv-moved-'));
afterAll(() => rmSync(root, { recursive: true }));

const isLinux = process.platform === 'linux';

describe.runIf(isLinux).each(['thread', 'inline'] as const)(
  'an open store whose folder is moved (%s)',
  (background) => {
    it.each([true, false])(
      'keeps to its own folder beside another at its path, and ends writing (log: %s)',
      async (log) => {
        const { path, moved } = makePaths();
        const options: KvOptions = { background, log };
        const kv = await openKv(path, options);
        await kv.put('first', 'ours');
        await kv.flush();
        await kv.put('second', 'ours');
        renameSync(path, moved);
        const other = await openKv(path, options);
        await other.put('first', 'theirs');
        await other.flush();
        await other.close();
        const before = contentOf(path);
        checkEnded(await failureOf(kv.flush()), path, 'folder');
        checkEnded(await failureOf(kv.put('third', 'ours')), path, 'folder');
        checkEnded(await failureOf(kv.compact()), path, 'folder');
        checkEnded(await failureOf(kv.settled()), path, 'folder');
        expect(text(await kv.get('first'))).toBe('ours');
        expect(text(await kv.get('second'))).toBe('ours');
        await kv.close().catch(() => {});
        expect(contentOf(path)).toEqual(before);
        expect(await allOf(path, options)).toEqual([['first', 'theirs']]);
        const kept = log ? [['second', 'ours']] : [];
        expect(await allOf(moved, options)).toEqual([['first', 'ours'], ...kept]);
      },
    );

    it("writes no more once its lock's names are removed, and takes nothing from the next owner", async () => {
      const { path } = makePaths();
      const kv = await openKv(path, { background });
      await kv.put('first', '1');
      removeLockNames(path);
      expect(await codeOf(openKv(path))).toBe('LOCKED');
      unlinkSync(join(path, 'LOCK'));
      const second = await openKv(path, { background });
      await second.put('second', '2');
      checkEnded(await failureOf(kv.put('lost', 'x')), path, 'lock');
      await second.put('third', '3');
      await kv.close().catch(() => {});
      expect(await codeOf(openKv(path))).toBe('LOCKED');
      await second.close();
      const all = await allOf(path, {});
      expect(all).toEqual([
        ['first', '1'],
        ['second', '2'],
        ['third', '3'],
      ]);
    });
  },
);

describe('a store on a disk where only paths lead to folders', () => {
  it.each([true, false])(
    'touches nothing in the store that has come to its path (log: %s)',
    async (log) => {
      const fileSystem = disk();
      const kv = await openOn(fileSystem, { log });
      await kv.put('key', 'ours');
      await kv.flush();
      fileSystem.rename('/kv', '/moved');
      const other = await openOn(fileSystem, { log });
      await other.put('key', 'theirs');
      await other.close();
      const paths = fileSystem.paths().filter((path) => path.startsWith('/kv/'));
      const contents = paths.map((path) => fileSystem.readFile(path));
      await kv.put('more', 'ours');
      checkEnded(await failureOf(kv.flush()), '/kv', 'folder');
      await kv.close().catch(() => {});
      expect(fileSystem.paths().filter((path) => path.startsWith('/kv/'))).toEqual(paths);
      expect(paths.map((path) => fileSystem.readFile(path))).toEqual(contents);
    },
  );
});

describe('a backup into the store itself', () => {
  it.each(['direct', 'by a link', 'by a link deep inside'] as const)(
    'is refused: %s',
    async (way) => {
      const { path } = makePaths();
      const kv = await openKv(path);
      await kv.put('key', 'value');
      await kv.flush();
      const link = `${path}-link`;
      symlinkSync(way === 'by a link' ? path : join(path, 'tables'), link);
      const target = way === 'direct' ? join(path, 'copy') : join(link, 'copy');
      expect(await codeOf(kv.backup(target))).toBe('INVALID_ARGUMENT');
      expect(await codeOf(kv.backup(way === 'direct' ? path : link))).toBe('INVALID_ARGUMENT');
      await kv.close();
      expect(await allOf(path, {})).toEqual([['key', 'value']]);
    },
  );

  it('is refused when the store was opened by a link', async () => {
    const { path } = makePaths();
    await (await openKv(path)).close();
    const link = `${path}-link`;
    symlinkSync(path, link);
    const kv = await openKv(link);
    await kv.put('key', 'value');
    expect(await codeOf(kv.backup(join(path, 'copy')))).toBe('INVALID_ARGUMENT');
    await kv.backup(`${path}-copy`);
    await kv.close();
    expect(await allOf(path, {})).toEqual([['key', 'value']]);
    expect(await allOf(`${path}-copy`, {})).toEqual([['key', 'value']]);
  });
});

let pathCount = 0;
function makePaths(): { readonly path: string; readonly moved: string } {
  pathCount += 1;
  const path = join(root, `store-${pathCount}`);
  return { path, moved: `${path}-moved` };
}

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

function checkEnded(error: unknown, path: string, lost: 'folder' | 'lock'): void {
  expect(error).toBeInstanceOf(VarveError);
  expect(error).toMatchObject({ details: { directory: path, lost } });
  expect((error as VarveError).message).toContain(`the store opened at ${path}`);
  expect(String(error)).not.toContain('/proc/');
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

async function allOf(path: string, options: KvOptions): Promise<(string | undefined)[][]> {
  const kv: KvStore = await openKv(path, options);
  try {
    expect((await kv.verify()).ok).toBe(true);
    return [...kv.iterateSync()].map(([key, value]) => [text(key), text(value)]);
  } finally {
    await kv.close();
  }
}
