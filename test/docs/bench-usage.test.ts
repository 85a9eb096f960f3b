/** The programs of bench/ say what they take. None of their own packages is needed for that. */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

const files = ['compare', 'micro', 'workloads'].flatMap((folder) =>
  readdirSync(join(root, 'bench', folder))
    .filter((name) => name.endsWith('.js'))
    .map((name) => `bench/${folder}/${name}`),
);
const programs = files.filter((file) => textOf(file).includes('readOptions('));

function textOf(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

function run(...args: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
}

describe('a program of bench/', () => {
  it('reads its options in the one way that knows --help', () => {
    expect(programs.length).toBeGreaterThan(5);
    expect(files.filter((file) => textOf(file).includes('parseArgs('))).toEqual([]);
  });

  it.each(programs)('shows its usage: %s', (file) => {
    const { status, stdout, stderr } = run(file, '--help');
    expect(stdout).toContain(`Usage: npm run build && node --expose-gc ${file} [options]`);
    expect(stdout).toContain('--help');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it.each([
    ['bench/workloads/read.js', '--wrong', "Unknown option '--wrong'."],
    ['bench/workloads/read.js', '--rounds=many', '--rounds takes a whole number, not "many".'],
    ['bench/compare/kv.js', '--directory=/not/there', '--directory takes a folder that is there'],
    ['bench/compare/kv-run.js', '--help', 'kv-run.js is started by it'],
    ['bench/compare/load-thread.worker.js', '--help', 'load-thread.worker.js is started by it'],
  ])('says in one line what is wrong: %s %s', (file, arg, message) => {
    const { status, stderr } = run(file, arg);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(status).toBe(2);
  });
});
