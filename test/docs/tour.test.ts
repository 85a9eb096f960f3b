import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type Ran, temporaryFolder } from '../cli/run-varve.ts';

const folder = temporaryFolder();
const tourPath = fileURLToPath(new URL('../../examples/tour.js', import.meta.url));

function runTour(directory: string): Ran {
  const ran = spawnSync(process.execPath, [tourPath], { cwd: directory, encoding: 'utf8' });
  return { status: ran.status, out: ran.stdout, error: ran.stderr };
}

describe('npm start', () => {
  it('imports the history, again without an effect, looks around, verifies, and ends', () => {
    const { status, out, error } = runTour(folder);
    expect(error).toBe('');
    expect(status).toBe(0);
    expect(out).toContain('17,758 events appended in 1,422 commits, 0 there already');
    expect(out).toContain('0 events appended in 0 commits, 17,758 there already');
    expect(out).toContain('kimberlite/');
    expect(out).toContain('FileDeleted');
    expect(out).toContain('The store is whole.');
    expect(out).toContain('Now you');
  });

  it('goes on with the store of an earlier start', () => {
    const { status, out } = runTour(folder);
    expect(status).toBe(0);
    expect(out).toContain('is there from an earlier start');
    expect(out).not.toContain('17,758 events appended');
  });

  it('leaves alone a folder that holds something else', () => {
    const other = join(folder, 'other');
    mkdirSync(join(other, 'varve-data'), { recursive: true });
    writeFileSync(join(other, 'varve-data', 'letter.txt'), 'Dear …');
    const { status, error } = runTour(other);
    expect(status).toBe(2);
    expect(error).toContain('holds other things than a store');
    expect(error).toContain('remove or rename ./varve-data');
  });
});
