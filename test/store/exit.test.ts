/** How a process may end while the store is open and appends are in flight, without anybody closing it. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'varve';
import { afterAll, describe, expect, it } from 'vitest';

const fixture = join(import.meta.dirname, '..', 'fixtures', 'exiter.js');
const inThread = join(import.meta.dirname, '..', 'fixtures', 'in-thread.js');
const root = mkdtempSync(join(tmpdir(), 'varve-exit-'));
afterAll(() => rmSync(root, { recursive: true }));

interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  readonly acknowledged: readonly string[];
  readonly errors: string;
}

describe.each(['thread', 'inline'] as const)(
  'a process that ends without closing its store, %s',
  (writer) => {
    const run = async (way: string): Promise<Ending> => runFixture(way, writer);
    const names = async (way: string): Promise<string[]> => namesIn(join(root, writer, way));

    it.each([
      ['natural', 3],
      ['many-natural', 5_003],
      ['no-room', 23],
      ['first-only', 1],
      ['delayed', 3],
    ])('by itself waits for what is in flight: %s', async (way, count) => {
      const { code, acknowledged, errors } = await run(way);
      expect(errors).toBe('');
      expect(code).toBe(0);
      expect(acknowledged).toHaveLength(count);
      expect(acknowledged.slice(0, 3)).toEqual(['first', 'second', 'third'].slice(0, count));
      expect(await names(way)).toEqual(acknowledged);
    });

    it.each([
      ['idle', ['first', 'second', 'third']],
      ['opened', []],
    ])('does not wait for anything when nothing is in flight: %s', async (way, expected) => {
      const { code, acknowledged } = await run(way);
      expect(code).toBe(0);
      expect(acknowledged).toEqual(expected);
      expect(await names(way)).toEqual(expected);
    });

    it('at the end of a module that awaits its appends, ends', async () => {
      const { code, acknowledged } = await run('top-level-await');
      expect(code).toBe(0);
      expect(acknowledged).toEqual(['first', 'second', 'third']);
      expect(await names('top-level-await')).toEqual(['first', 'second', 'third']);
    });

    it.each(['process-exit', 'exit-after-ack'])(
      'by %s loses nothing that was acknowledged',
      async (way) => {
        const { code, acknowledged } = await run(way);
        expect(code).toBe(7);
        expect(await names(way)).toEqual(expect.arrayContaining([...acknowledged]));
        expect(acknowledged).toContain('first');
      },
    );

    it('by an uncaught error loses nothing that was acknowledged', async () => {
      const { code, acknowledged, errors } = await run('uncaught-error');
      expect(code).toBe(1);
      expect(errors).toContain('uncaught on purpose');
      expect(acknowledged).toEqual(['first']);
      expect(await names('uncaught-error')).toContain('first');
    });
  },
);

describe('a thread that ends without closing its store', () => {
  it.each([
    ['natural', 3],
    ['no-room', 23],
    ['first-only', 1],
    ['idle', 3],
    ['opened', 0],
  ])('by itself waits for what is in flight, and for nothing else: %s', async (way, count) => {
    const { code, acknowledged, errors } = await runFixture(way, 'auto', [inThread]);
    expect(errors).toBe('');
    expect(code).toBe(0);
    expect(acknowledged).toHaveLength(count);
    expect(await namesIn(join(root, 'auto', way))).toEqual(acknowledged);
  });
});

/** Runs the fixture; one that hangs is killed after a while and shows no exit code. */
async function runFixture(
  way: string,
  writer: string,
  runner: readonly string[] = [],
): Promise<Ending> {
  mkdirSync(join(root, writer), { recursive: true });
  const args = [...runner, fixture, join(root, writer, way), way, writer];
  const child = spawn(process.execPath, args, { timeout: 20_000, killSignal: 'SIGKILL' });
  let output = '';
  let errors = '';
  child.stdout.on('data', (piece) => (output += String(piece)));
  child.stderr.on('data', (piece) => (errors += String(piece)));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on('close', (...ending) => resolve(ending));
  });
  const lines = output.split('\n').filter((line) => line.startsWith('ack '));
  const acknowledged = lines.map((line) => line.split(' ').slice(2).join(' '));
  return { code, signal, acknowledged, errors };
}

/** Opens what the process left, checks it, and gives the names in it. */
async function namesIn(directory: string): Promise<string[]> {
  const store = await open(directory);
  const names: string[] = [];
  for await (const { data } of store.read()) {
    names.push(data as string);
  }
  expect(new Set(names).size).toBe(names.length);
  expect(await store.verify()).toMatchObject({ ok: true });
  await store.close();
  return names;
}
