/** How a process may end while the store is open and appends are in flight, without anybody closing it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'varve';
import { afterAll, describe, expect, it } from 'vitest';

const fixture = join(import.meta.dirname, 'fixtures', 'exiter.js');
const root = mkdtempSync(join(tmpdir(), 'varve-exit-'));
afterAll(() => rmSync(root, { recursive: true }));

interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  readonly acknowledged: readonly string[];
  readonly errors: string;
}

describe('a process that ends without closing its store', () => {
  it('by itself waits for what is in flight', async () => {
    const { code, acknowledged } = await run('natural');
    expect(code).toBe(0);
    expect(acknowledged).toEqual(['first', 'second', 'third']);
    expect(await namesIn('natural')).toEqual(['first', 'second', 'third']);
  });

  it('by itself waits for thousands in flight', async () => {
    const { code, acknowledged } = await run('many-natural');
    expect(code).toBe(0);
    expect(acknowledged).toHaveLength(5_003);
    expect(await namesIn('many-natural')).toEqual(acknowledged);
  });

  it('does not wait for anything when nothing is in flight', async () => {
    const { code, acknowledged } = await run('idle');
    expect(code).toBe(0);
    expect(acknowledged).toEqual(['first', 'second', 'third']);
    expect(await namesIn('idle')).toEqual(['first', 'second', 'third']);
  });

  it('at the end of a module that awaits its appends, ends', async () => {
    const { code, acknowledged } = await run('top-level-await');
    expect(code).toBe(0);
    expect(acknowledged).toEqual(['first', 'second', 'third']);
    expect(await namesIn('top-level-await')).toEqual(['first', 'second', 'third']);
  });

  it.each(['process-exit', 'exit-after-ack'])(
    'by %s loses nothing that was acknowledged',
    async (way) => {
      const { code, acknowledged } = await run(way);
      expect(code).toBe(7);
      expect(await namesIn(way)).toEqual(expect.arrayContaining([...acknowledged]));
      expect(acknowledged).toContain('first');
    },
  );

  it('by an uncaught error loses nothing that was acknowledged', async () => {
    const { code, acknowledged, errors } = await run('uncaught-error');
    expect(code).toBe(1);
    expect(errors).toContain('uncaught on purpose');
    expect(acknowledged).toEqual(['first']);
    expect(await namesIn('uncaught-error')).toContain('first');
  });
});

/** Runs the fixture; one that hangs is killed after a while and shows no exit code. */
async function run(way: string): Promise<Ending> {
  const args = [fixture, join(root, way), way];
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
async function namesIn(way: string): Promise<string[]> {
  const store = await open(join(root, way));
  const names: string[] = [];
  for await (const { data } of store.read()) {
    names.push(data as string);
  }
  expect(new Set(names).size).toBe(names.length);
  expect(await store.verify()).toMatchObject({ ok: true });
  await store.close();
  return names;
}
