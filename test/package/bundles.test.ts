/** Programs whose bundler has put everything into one file: with their threads' files named, and without. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build as buildByEsbuild } from 'esbuild';
import { build as buildByRolldown } from 'rolldown';
import { open } from 'varve';
import { openKv } from 'varve/kv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

type Format = 'esm' | 'cjs';
type Bundler = (entry: string, file: string, format: Format) => Promise<unknown>;

const requireForEsm = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;

const bundlers: Readonly<Record<string, Bundler>> = {
  esbuild: (entry, outfile, format) =>
    buildByEsbuild({
      entryPoints: [entry],
      outfile,
      format,
      bundle: true,
      platform: 'node',
      // abstract-level is made of CommonJS, which esbuild's format esm gives no require.
      banner: { js: format === 'esm' ? requireForEsm : '' },
      // It says that import.meta is empty in the format cjs, which is what is tried here.
      logLevel: 'error',
    }),
  rolldown: (input, file, format) =>
    buildByRolldown({ input, platform: 'node', output: { file, format }, logLevel: 'silent' }),
};

const program = join(import.meta.dirname, '..', 'fixtures', 'bundled-program.js');
const entries = {
  eventLog: 'varve/workers/event-log',
  indexBackground: 'varve/workers/index-background',
  kvLog: 'varve/workers/kv-log',
  kvBackground: 'varve/workers/kv-background',
} as const;
const root = mkdtempSync(join(tmpdir(), 'varve-bundles-'));
afterAll(() => rmSync(root, { recursive: true }));

interface Outcome {
  readonly acknowledged?: number;
  readonly code?: string;
  readonly applied?: string;
  readonly message?: string;
  readonly warnings: readonly { readonly event: string; readonly cause: string }[];
}

describe.each([
  ['esbuild', 'esm'],
  ['esbuild', 'cjs'],
  ['rolldown', 'esm'],
  ['rolldown', 'cjs'],
] as const)('a program bundled by %s as %s', (bundler, format) => {
  const folder = join(root, `${bundler}-${format}`);
  const extension = format === 'esm' ? 'mjs' : 'cjs';
  const fileOf = (name: string): string => join(folder, `${name}.${extension}`);
  const workers = Object.fromEntries(
    Object.keys(entries).map((name) => [name, pathToFileURL(fileOf(name)).href]),
  );

  beforeAll(async () => {
    mkdirSync(folder);
    const bundle = bundlers[bundler]!;
    await bundle(program, fileOf('program'), format);
    for (const [name, entry] of Object.entries(entries)) {
      await bundle(packageFile(entry), fileOf(name), format);
    }
  });

  const run = (where: 'auto' | 'thread', given: object): Outcome => {
    const stores = join(folder, `stores-${where}-${Object.keys(given).length}`);
    const args = [fileOf('program'), stores, where, JSON.stringify(given)];
    const ran = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(ran.stderr).toBe('');
    expect(ran.status).toBe(0);
    return JSON.parse(ran.stdout) as Outcome;
  };

  it('does all its work in one thread if it names no others, and says so once for each store', async () => {
    const { acknowledged, warnings } = run('auto', {});
    expect(acknowledged).toBe(20);
    expect(warnings.map(({ event }) => event)).toEqual(Array(3).fill('thread-unavailable'));
    await findEverything(join(folder, 'stores-auto-0'));
  });

  it('has its threads if it names their files', async () => {
    expect(run('thread', workers)).toEqual({ acknowledged: 20, warnings: [] });
    await findEverything(join(folder, 'stores-thread-4'));
  });

  it('hears what to do if it insists on threads and names no files', () => {
    const { code, applied, message } = run('thread', {});
    expect({ code, applied }).toEqual({ code: 'POISONED', applied: 'no' });
    expect(message).toMatch(/eventLog can't be started .* component workers/);
  });
});

function packageFile(specifier: string): string {
  const { pathname } = new URL(import.meta.resolve(specifier));
  return pathname;
}

/** What was acknowledged is there. */
async function findEverything(folder: string): Promise<void> {
  const store = await open(join(folder, 'events'), { create: false, background: 'inline' });
  expect(store.head).toBe(20);
  expect(await store.verify()).toMatchObject({ ok: true });
  await store.close();
  for (const name of ['kv', 'level']) {
    const kv = await openKv(join(folder, name), { create: false, background: 'inline' });
    expect(String(Buffer.from(kv.getSync('a')!))).toBe('b');
    await kv.close();
  }
}
