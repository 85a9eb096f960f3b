/** Threads that can't be started: the store goes on in its owner's thread, or says what to do where one was insisted on. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type LogEntry, open, type VarveError } from 'varve';
import { openKv } from 'varve/kv';
import { describe, expect, it } from 'vitest';
import { startThread } from '../../dist/io/thread.js';
import { VERSION } from '../../dist/base/version.js';
import packageJson from '../../package.json' with { type: 'json' };
import { newFolder, PlannedDisk, type PlannedFault } from '../journal/planned-disk.ts';
import { eventsOf } from '../store/damage.ts';

const fixtureOf = (name: string): string => join(import.meta.dirname, '..', 'fixtures', name);
const urlOf = (name: string): URL => new URL(`../fixtures/${name}`, import.meta.url);
const names = Array.from({ length: 30 }, (_, index) => `E${100 + index}`);

const failures: readonly { readonly name: string; readonly fault: PlannedFault }[] = [
  { name: 'can not make its file system', fault: { kind: 'create', does: 'throw' } },
  { name: 'ends while it makes its file system', fault: { kind: 'create', does: 'exit' } },
  {
    name: 'can not open the segment',
    fault: { kind: 'open', path: '.seg', where: 'thread', does: 'EIO' },
  },
  {
    name: 'throws what is no error',
    fault: { kind: 'open', path: '.seg', where: 'thread', does: 'throw a string' },
  },
];

describe('a store whose thread can not be started', () => {
  it.each(failures)('goes on inline, in order, and tells it once: $name', async ({ fault }) => {
    const disk = new PlannedDisk([fault]);
    disk.arm();
    const told: LogEntry[] = [];
    const directory = newFolder();
    const logger = (entry: LogEntry): unknown => entry.level !== 'info' && told.push(entry);
    const store = await open(directory, {}, { fileSystem: disk.component, logger });
    const sent = names.map((type) => store.append('s', [{ type }], { idempotencyKey: type }));
    const results = await Promise.all(sent);
    expect(results.map(({ firstPosition }) => firstPosition)).toEqual(names.map((_, at) => at));
    expect(told).toMatchObject([{ level: 'warn', event: 'thread-unavailable' }]);
    expect(store.stats().failure).toBeUndefined();
    await store.append('s', [{ type: 'Last' }]);
    await store.close();
    expect(disk.count('threadCount')).toBe(1);
    const again = await open(directory, { background: 'inline' });
    expect(again.recovery.wasClosed).toBe(true);
    expect((await eventsOf(again)).map(({ type }) => type)).toEqual([...names, 'Last']);
    expect(await again.verify()).toMatchObject({ ok: true });
    await again.close();
  });

  it('refuses appends while there are no descriptors for a thread that is insisted on, and starts it later', async () => {
    const fault = {
      kind: 'open',
      path: '.seg',
      where: 'thread',
      count: 1,
      does: 'EMFILE',
    } as const;
    const disk = new PlannedDisk([fault]);
    disk.arm();
    const directory = newFolder();
    const store = await open(directory, { background: 'thread' }, { fileSystem: disk.component });
    const refused = store.append('s', [{ type: 'Refused' }]);
    await expect(refused).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      applied: 'no',
      message: expect.stringContaining('file descriptors') as string,
    });
    await store.append('s', [{ type: 'Taken' }]);
    expect(store.stats().failure).toBeUndefined();
    expect(disk.count('threadCount')).toBe(2);
    await store.close();
    const again = await open(directory, { background: 'inline' });
    expect((await eventsOf(again)).map(({ type }) => type)).toEqual(['Taken']);
    expect(again.recovery.wasClosed).toBe(true);
    await again.close();
  });

  it('can be closed while a thread waits for descriptors', async () => {
    const disk = new PlannedDisk([{ kind: 'open', path: '.seg', where: 'thread', does: 'EMFILE' }]);
    disk.arm();
    const directory = newFolder();
    const store = await open(directory, { background: 'thread' }, { fileSystem: disk.component });
    await expect(store.append('s', [{ type: 'Refused' }])).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    await store.close();
    const again = await open(directory, { background: 'inline' });
    expect(again.head).toBe(0);
    await again.close();
  });

  it('can be closed while the thread is being started', async () => {
    const disk = new PlannedDisk([{ kind: 'create', does: 'throw' }]);
    disk.arm();
    const store = await open(newFolder(), {}, { fileSystem: disk.component });
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = store.append('s', [{ type: 'Aborted' }], { signal });
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    await store.close();
  });

  it('has its key-value log written and its tables made inline, too, and tells it once', async () => {
    const disk = new PlannedDisk([{ kind: 'create', does: 'exit' }]);
    disk.arm();
    const told: LogEntry[] = [];
    const directory = newFolder();
    const components = {
      fileSystem: disk.component,
      logger: (entry: LogEntry): unknown => entry.level !== 'info' && told.push(entry),
    };
    const kv = await openKv(directory, {}, components);
    await Promise.all(names.map((name) => kv.put(name, name)));
    await kv.ingest(names.map((name) => [`ingested/${name}`, name]));
    await kv.flush();
    await kv.compact();
    expect(kv.stats().background).toMatchObject({ error: undefined, ingests: 1 });
    expect(told).toMatchObject([{ event: 'thread-unavailable' }]);
    await kv.close();
    const again = await openKv(directory, { background: 'inline' });
    expect((await again.count('')).count).toBe(2 * names.length);
    expect(await again.verify()).toMatchObject({ ok: true });
    await again.close();
  });

  it.each(failures)('says what to do where a thread was insisted on: $name', async ({ fault }) => {
    const disk = new PlannedDisk([fault]);
    disk.arm();
    const directory = newFolder();
    const components = { fileSystem: disk.component };
    const store = await open(directory, { background: 'thread' }, components);
    const sent = store.append('s', [{ type: 'A' }]);
    await expect(sent).rejects.toMatchObject({ code: 'POISONED', applied: 'no' });
    await expect(sent).rejects.toThrow(/eventLog can't be started .* choose "auto"/);
    await expect(store.append('s', [{ type: 'B' }])).rejects.toThrow(/choose "auto"/);
    await store.close();
    const again = await open(directory, { background: 'auto' }, components);
    expect(await again.append('s', [{ type: 'C' }])).toMatchObject({ firstPosition: 0 });
    await again.close();
  });

  it('fails what needs a key-value store’s thread with the same words, and tries again', async () => {
    const disk = new PlannedDisk([{ kind: 'create', does: 'throw' }]);
    const components = { fileSystem: disk.component };
    const kv = await openKv(newFolder(), { background: 'thread', log: false }, components);
    const words = /kvBackground can't be started .* choose "auto"/;
    await expect(kv.ingest([['a', 'b']])).rejects.toThrow(words);
    await expect(kv.ingest([['a', 'b']])).rejects.toThrow(words);
    expect(disk.count('threadCount')).toBe(2);
    await kv.close();
  });
});

const environments: readonly (readonly [name: string, does: string, cause: RegExp])[] = [
  ['a preload throws in threads', 'throws', /thrown by a preload/],
  ['a preload ends threads', 'exits', /ended before it was ready/],
  ['no threads are allowed', 'forbids', /no threads are allowed here/],
];

describe.each(environments)('where %s', (_name, does, cause) => {
  const run = (program: string, ...args: string[]): string => {
    const directory = newFolder();
    mkdirSync(directory);
    const preload = ['--require', fixtureOf('preload.cjs')];
    const all = [...preload, fixtureOf(program), join(directory, 'stores'), ...args];
    const env = { ...process.env, PRELOAD: does };
    const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: 'utf8', env });
    expect(status, stderr).toBe(0);
    return stdout;
  };

  it('stores work inline, and say why', () => {
    const output = run('bundled-program.js', 'auto');
    const { acknowledged, warnings } = JSON.parse(output) as {
      acknowledged: number;
      warnings: { cause: string }[];
    };
    expect(acknowledged).toBe(20);
    expect(warnings).toHaveLength(3);
    expect(warnings[0]!.cause).toMatch(cause);
  });

  it('a process does not end before its first append is settled', () => {
    const output = run('exiter.js', 'first-only', 'auto');
    expect(output).toBe('ack 0 first\n');
  });
});

describe('startThread', () => {
  it('gives up a thread that never becomes ready', async () => {
    const failure = await failureOf('hanging-worker.js', 0);
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', details: { worker: 'eventLog' } });
    expect(failure.message).toMatch(/not become ready/);
  });

  it.each([
    ['worker=kvLog', `version=${VERSION}`],
    ['worker=eventLog', 'version=0.0.1'],
    ['worker=eventLog', ''],
  ])('refuses the file of another worker, or of another version: %s %s', async (...says) => {
    const failure = await failureOf(`impostor-worker.js?${says.join('&')}`);
    expect(failure.message).toMatch(/not the one of the worker eventLog in version/);
  });

  it('knows the version of the package', () => {
    expect(VERSION).toBe(packageJson.version);
  });
});

/** What is heard of a thread that runs a file of the fixtures, which is not the worker's. */
function failureOf(name: string, startMsMax?: number): Promise<VarveError> {
  return new Promise((resolve, reject) => {
    const file = { name: 'eventLog', locate: () => urlOf(name) };
    const listener = {
      ready: () => reject(new Error('ready')),
      failed: resolve,
      message: () => {},
      ended: () => {},
    };
    startThread(file, undefined, listener, startMsMax).hold(true);
  });
}
