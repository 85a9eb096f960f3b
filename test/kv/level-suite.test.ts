/**
 * The test suite of abstract-level, which every database of the Level family passes, run on VarveLevel: all of it in one thread, with the
 * folder made beforehand as classic-level does, and again what a missing folder or a thread that writes could change.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('../fixtures/level-suite.cjs', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'varve-level-'));

afterAll(() => rmSync(root, { recursive: true }));

describe('VarveLevel', () => {
  it.each([
    ['inline', 'made', 'all', 5_000],
    ['inline', 'missing', 'opening', 50],
    ['thread', 'missing', 'writing', 500],
  ] as const)(
    'passes the suite of abstract-level (%s, its folder %s, %s)',
    async (background, folder, part, passedMin) => {
      const child = spawn(process.execPath, [program, root, background, folder, part], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const output: Buffer[] = [];
      child.stdout.on('data', (piece: Buffer) => output.push(piece));
      child.stderr.on('data', (piece: Buffer) => output.push(piece));
      const [status] = (await once(child, 'close')) as [number | null];
      const lines = Buffer.concat(output).toString().split('\n');
      const passed = lines.filter((line) => /^ok \d/.test(line)).length;
      expect({ failures: failuresOf(lines), status }).toEqual({ failures: [], status: 0 });
      expect(passed).toBeGreaterThanOrEqual(passedMin);
    },
    300_000,
  );
});

/** Each failed assertion with the name of its test and what is said about it; whatever isn't TAP at the end, too. */
function failuresOf(lines: readonly string[]): string[] {
  const failures: string[] = [];
  let test = '';
  for (const [index, line] of lines.entries()) {
    if (line.startsWith('# ')) {
      test = line;
    } else if (line.startsWith('not ok')) {
      failures.push([test, ...lines.slice(index, index + 12)].join('\n'));
    }
  }
  const isWhole = lines.some((line) => line.startsWith('# pass'));
  return isWhole ? failures : [...failures, lines.slice(-30).join('\n')];
}
