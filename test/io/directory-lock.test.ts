import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import cluster from 'node:cluster';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { seed } from '../seed.ts';
import { raceForLock } from './lock-race.ts';

interface Lock {
  release(): Promise<void>;
}
interface LockModule {
  readonly lockDirectory: (directory: string) => Promise<Lock>;
}
interface Report {
  readonly outcome: string;
  readonly message?: string;
  readonly details?: { readonly holder?: { readonly pid: number } };
}

// The lock is private to the package, so its module is loaded by path. VARVE_DIST points to another build of it.
const dist = process.env['VARVE_DIST'] ?? join(import.meta.dirname, '..', '..', 'dist');
const moduleUrl = pathToFileURL(join(dist, 'io', 'directory-lock.js')).href;
const holderPath = join(import.meta.dirname, '..', 'fixtures', 'lock-holder.js');
const { lockDirectory } = (await import(moduleUrl)) as LockModule;

const root = mkdtempSync(join(tmpdir(), 'varve-lock-'));
const children = new Set<ChildProcess>();
afterEach(() => {
  for (const child of children) {
    child.kill('SIGKILL');
  }
  children.clear();
});
afterAll(() => rmSync(root, { recursive: true }));

describe('a directory lock', () => {
  it('leaves nothing behind when it is released, and can be taken again at once', async () => {
    const directory = makeDirectory();
    for (let round = 0; round < 3; round += 1) {
      const lock = await lockDirectory(directory);
      expect(readdirSync(directory)).toContain('LOCK');
      await lock.release();
      expect(readdirSync(directory)).toEqual([]);
    }
  });

  it('is free for the next opener as soon as release is called', async () => {
    const directory = makeDirectory();
    const first = await lockDirectory(directory);
    const released = first.release();
    const second = await lockDirectory(directory);
    await released;
    await first.release();
    expect(await refusal(directory)).toMatchObject({ code: 'LOCKED' });
    await second.release();
  });

  it('refuses a second opener, naming the holder and saying what to do', async () => {
    const directory = makeDirectory();
    const lock = await lockDirectory(directory);
    const error = await refusal(directory);
    expect(error).toMatchObject({
      name: 'VarveError',
      code: 'LOCKED',
      kind: 'unavailable',
      details: { directory, holder: { pid: process.pid, host: hostname() } },
    });
    const { since } = JSON.parse(readFileSync(join(directory, 'LOCK'), 'utf8')) as {
      since: string;
    };
    expect(new Date(since).toISOString()).toBe(since);
    expect(error.message).toBe(
      `${directory} is in use by process ${process.pid} on host ${hostname()} since ${since}: ` +
        'close the store there, or end that process, and open it again.',
    );
    await lock.release();
  });
});

describe('a directory lock within one process', () => {
  it('refuses a second copy of the package', async () => {
    const directory = makeDirectory();
    const copy = join(makeDirectory(), 'node_modules', 'varve');
    cpSync(join(dist, 'io'), join(copy, 'io'), { recursive: true });
    cpSync(join(dist, 'base'), join(copy, 'base'), { recursive: true });
    writeFileSync(join(copy, 'package.json'), '{ "type": "module" }');
    const copyUrl = pathToFileURL(join(copy, 'io', 'directory-lock.js')).href;
    const second = (await import(/* @vite-ignore */ copyUrl)) as LockModule;
    expect(second.lockDirectory).not.toBe(lockDirectory);
    const lock = await lockDirectory(directory);
    await expect(second.lockDirectory(directory)).rejects.toMatchObject({ code: 'LOCKED' });
    await lock.release();
    await (await second.lockDirectory(directory)).release();
  });

  it('refuses a worker thread, and ends with the thread that holds it', async () => {
    const directory = makeDirectory();
    const holder = startWorker(directory);
    expect(await nextReport(holder)).toMatchObject({ outcome: 'held' });
    expect(await refusal(directory)).toMatchObject({ code: 'LOCKED' });
    const other = startWorker(directory);
    expect(await nextReport(other)).toMatchObject({ outcome: 'LOCKED' });
    await Promise.all([holder.terminate(), other.terminate()]);
    await (await lockDirectory(directory)).release();
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('the folder of a directory lock', () => {
  it('blames nobody when LOCK does not speak of the holder', async () => {
    const directory = makeDirectory();
    const lock = await lockDirectory(directory);
    const stale = { pid: 1, host: 'elsewhere', since: '2020-01-01T00:00:00.000Z', claim: '00' };
    for (const content of [JSON.stringify(stale), '{"pid":', '', 'null', '[]']) {
      writeFileSync(join(directory, 'LOCK'), content);
      const error = await refusal(directory);
      expect(error.details).toEqual({ directory, holder: undefined });
      expect(error.message).toContain('a process that has not said who it is');
    }
    await lock.release();
  });

  it('works in a directory whose path is longer than a socket path may be', async () => {
    const directory = join(makeDirectory(), 'x'.repeat(120), 'y'.repeat(120));
    mkdirSync(directory, { recursive: true });
    const lock = await lockDirectory(directory);
    expect(await refusal(directory)).toMatchObject({ code: 'LOCKED' });
    await lock.release();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('stays with a directory that is renamed', async () => {
    const directory = makeDirectory();
    const lock = await lockDirectory(directory);
    renameSync(directory, `${directory}-renamed`);
    expect(await refusal(`${directory}-renamed`)).toMatchObject({ code: 'LOCKED' });
    mkdirSync(directory);
    const other = await lockDirectory(directory);
    await lock.release();
    expect(readdirSync(`${directory}-renamed`)).toEqual([]);
    expect(await refusal(directory)).toMatchObject({ code: 'LOCKED' });
    await other.release();
  });
});

describe.runIf(process.platform === 'linux')('claims of others in the directory', () => {
  it('removes sockets without a listener, and leaves names that are not its own alone', async () => {
    const directory = makeDirectory();
    const first = await lockDirectory(directory);
    const own = readdirSync(directory).find((name) => name.startsWith('.lock-claim-')) ?? '';
    await first.release();
    const place = own.slice(own.lastIndexOf('-') + 1);
    const dead = ['temp', 'claim', 'held'].map((kind) => `.lock-${kind}-0123456789abcdef-${place}`);
    for (const name of [...dead, '.lock-notes', 'event']) {
      writeFileSync(join(directory, name), '');
    }
    const lock = await lockDirectory(directory);
    const names = readdirSync(directory);
    expect(names.filter((name) => dead.includes(name))).toEqual([]);
    await lock.release();
    expect(readdirSync(directory).toSorted()).toEqual(['.lock-notes', 'event']);
  });

  it('refuses a claim from another host, and names the command that clears it', async () => {
    const directory = join(makeDirectory(), "a store's folder");
    mkdirSync(directory);
    const holder = { pid: 7, host: 'elsewhere', since: '2026-01-02T03:04:05.678Z' };
    writeFileSync(
      join(directory, 'LOCK'),
      JSON.stringify({ ...holder, claim: 'fedcba9876543210' }),
    );
    for (const kind of ['claim', 'held']) {
      writeFileSync(join(directory, `.lock-${kind}-fedcba9876543210-00112233445566ff`), '');
    }
    const error = await refusal(directory);
    expect(error).toMatchObject({ code: 'LOCKED', details: { directory, holder } });
    expect(error.message).toContain('process 7 on host elsewhere since 2026-01-02T03:04:05.678Z');
    const command = /rm -- .*$/.exec(error.message)?.[0];
    expect(command).toBe(error.details['command']);
    expect(readdirSync(directory).length).toBe(3);
    execFileSync('sh', ['-c', command as string]);
    await (await lockDirectory(directory)).release();
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('a directory lock among processes', () => {
  it('refuses another process, which is told who holds it', async () => {
    const directory = makeDirectory();
    const lock = await lockDirectory(directory);
    const child = startChild(directory);
    const report = await nextReport(child);
    expect(report.outcome).toBe('LOCKED');
    expect(report.details?.holder?.pid).toBe(process.pid);
    await lock.release();
  });

  it('passes from a process that releases it to the next', async () => {
    const directory = makeDirectory();
    const child = startChild(directory);
    expect((await nextReport(child)).outcome).toBe('held');
    expect(await refusal(directory)).toMatchObject({ details: { holder: { pid: child.pid } } });
    child.send('release');
    expect((await nextReport(child)).outcome).toBe('released');
    expect(readdirSync(directory)).toEqual([]);
    await (await lockDirectory(directory)).release();
  });

  it('refuses the second worker of a cluster', async () => {
    const directory = makeDirectory();
    cluster.setupPrimary({ exec: holderPath, args: [moduleUrl, directory], execArgv: [] });
    const first = cluster.fork();
    children.add(first.process);
    expect((await nextReport(first)).outcome).toBe('held');
    const second = cluster.fork();
    children.add(second.process);
    expect((await nextReport(second)).outcome).toBe('LOCKED');
  });
});

describe('a holder that does not answer', () => {
  it('is free after kill -9 of its holder, without help', async () => {
    const directory = makeDirectory();
    for (let round = 0; round < 3; round += 1) {
      const child = startChild(directory);
      expect((await nextReport(child)).outcome).toBe('held');
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect(readdirSync(directory).length).toBe(3);
    }
    const lock = await lockDirectory(directory);
    await lock.release();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('stays with a stopped process, also when its queue of connections is full', async () => {
    const directory = makeDirectory();
    const child = startChild(directory);
    expect((await nextReport(child)).outcome).toBe('held');
    child.kill('SIGSTOP');
    expect(await refusal(directory)).toMatchObject({ details: { holder: { pid: child.pid } } });
    const name = readdirSync(directory).find((entry) => entry.startsWith('.lock-held-'));
    expect(await connectUntilRefused(join(directory, name as string))).toBe('EAGAIN');
    expect(await refusal(directory)).toMatchObject({ details: { holder: { pid: child.pid } } });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await lockDirectory(directory)).release();
  });

  it('stays with a process whose event loop is blocked', async () => {
    const directory = makeDirectory();
    const child = startChild(directory);
    expect((await nextReport(child)).outcome).toBe('held');
    child.send('block');
    expect((await nextReport(child)).outcome).toBe('blocked');
    expect(await refusal(directory)).toMatchObject({ details: { holder: { pid: child.pid } } });
  });

  it('does not keep its process alive, and is free when that has ended by itself', async () => {
    const directory = makeDirectory();
    const child = startChild(directory, 'leave');
    expect((await nextReport(child)).outcome).toBe('held');
    expect(await once(child, 'exit')).toEqual([0, null]);
    await (await lockDirectory(directory)).release();
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe.runIf(process.platform === 'linux')('a holder whose names were removed', () => {
  it('is found by what LOCK says, as long as it lives', async () => {
    const directory = makeDirectory();
    const child = startChild(directory);
    expect((await nextReport(child)).outcome).toBe('held');
    removeLockNames(directory);
    expect(await refusal(directory)).toMatchObject({
      code: 'LOCKED',
      details: { holder: { pid: child.pid } },
    });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await lockDirectory(directory)).release();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('has not the lock of a copy of its directory', async () => {
    const directory = makeDirectory();
    const copy = makeDirectory();
    const lock = await lockDirectory(directory);
    copyFileSync(join(directory, 'LOCK'), join(copy, 'LOCK'));
    await (await lockDirectory(copy)).release();
    await lock.release();
  });

  it('leaves LOCK to the next holder', async () => {
    const directory = makeDirectory();
    const first = await lockDirectory(directory);
    removeLockNames(directory);
    unlinkSync(join(directory, 'LOCK'));
    const second = await lockDirectory(directory);
    await first.release();
    expect(await refusal(directory)).toMatchObject({ details: { holder: { pid: process.pid } } });
    await second.release();
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe.runIf(process.platform === 'linux')('where a full queue looks like a dead holder', () => {
  const conflating = ['--import', join(import.meta.dirname, '../fixtures/conflating-runtime.js')];
  const tryThere = async (directory: string): Promise<Report> => {
    const child = startChild(directory, 'stay', conflating);
    const report = await nextReport(child);
    child.kill('SIGKILL');
    await once(child, 'exit');
    return report;
  };

  it('leaves the lock to a stopped holder, and takes it when that is dead', async () => {
    const directory = makeDirectory();
    const holder = startChild(directory);
    expect((await nextReport(holder)).outcome).toBe('held');
    holder.kill('SIGSTOP');
    const name = readdirSync(directory).find((entry) => entry.startsWith('.lock-held-'));
    expect(await connectUntilRefused(join(directory, name as string))).toBe('EAGAIN');
    expect(await tryThere(directory)).toMatchObject({
      outcome: 'LOCKED',
      details: { holder: { pid: holder.pid } },
    });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect((await tryThere(directory)).outcome).toBe('held');
  });

  it.each([
    ['in a place that is not known', (origin: string) => origin.replace(/x.*/, ''), 'LOCKED'],
    ['in another namespace', (origin: string) => `${origin.slice(0, -8)}00000001`, 'LOCKED'],
    [
      'before the system was started',
      (origin: string) => origin.replace(/x.{8}/, 'x00000000'),
      'held',
    ],
  ])('judges a claim that was made %s', async (_, change, expected) => {
    const directory = makeDirectory();
    const child = startChild(directory);
    expect((await nextReport(child)).outcome).toBe('held');
    child.kill('SIGKILL');
    await once(child, 'exit');
    for (const name of readdirSync(directory).filter((entry) => entry.startsWith('.lock-'))) {
      const at = name.indexOf('x');
      const changed = name.slice(0, at) + change(name.slice(at));
      renameSync(join(directory, name), join(directory, changed));
    }
    const report = await tryThere(directory);
    expect(report.outcome).toBe(expected);
    if (expected === 'LOCKED') {
      const command = /rm -- .*$/.exec(report.message ?? '')?.[0];
      execFileSync('sh', ['-c', command as string]);
      expect((await tryThere(directory)).outcome).toBe('held');
    }
    // Where a refusal is the kernel's own, there is no doubt.
    await (await lockDirectory(directory)).release();
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('a directory lock in a race', () => {
  const disturbances = Number(process.env['VARVE_LOCK_ROUNDS'] ?? 60);
  it(`has one holder at most while four processes race and are killed and stopped ${disturbances} times`, async () => {
    const result = await raceForLock({
      moduleUrl,
      directory: makeDirectory(),
      detectorDirectory: makeDirectory(),
      disturbances,
      seed,
    });
    if (process.env['VARVE_LOCK_ROUNDS'] !== undefined) {
      process.stdout.write(`lock race: ${JSON.stringify(result)}\n`);
    }
    expect(result.failures).toEqual([]);
    expect(result.doubleHolders).toEqual([]);
    expect(result.acquiredCount).toBeGreaterThan(disturbances);
    expect(result.killedHolderCount).toBeGreaterThan(0);
    expect(result.stoppedCount).toBeGreaterThan(0);
  });
});

function makeDirectory(): string {
  return mkdtempSync(join(root, 'test-'));
}

async function refusal(
  directory: string,
): Promise<Error & { readonly details: Readonly<Record<string, unknown>> }> {
  const lock = await lockDirectory(directory).catch((error: unknown) => error);
  if (lock instanceof Error && 'details' in lock) {
    return lock as Awaited<ReturnType<typeof refusal>>;
  }
  throw new Error(`locked what should be refused, or failed: ${String(lock)}`);
}

function removeLockNames(directory: string): void {
  for (const name of readdirSync(directory).filter((entry) => entry.startsWith('.lock-'))) {
    unlinkSync(join(directory, name));
  }
}

function startChild(
  directory: string,
  mode = 'stay',
  execArgv: readonly string[] = [],
): ChildProcess {
  const child = fork(holderPath, [moduleUrl, directory, mode], { execArgv: [...execArgv] });
  children.add(child);
  return child;
}

function startWorker(directory: string): Worker {
  return new Worker(holderPath, { workerData: [moduleUrl, directory], execArgv: [] });
}

async function nextReport(source: NodeJS.EventEmitter): Promise<Report> {
  const [report] = (await once(source, 'message')) as [Report];
  return report;
}

/** Connects again and again; the code of the first failure. */
async function connectUntilRefused(path: string): Promise<string | undefined> {
  // A socket's path may have 107 bytes.
  expect(path.length).toBeLessThan(108);
  for (let count = 0; count < 10_000; count += 1) {
    const socket = connect({ path });
    try {
      await once(socket, 'connect');
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    } finally {
      socket.destroy();
    }
  }
  return undefined;
}
