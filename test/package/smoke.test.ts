/** The smoke program under Node; `npm run test:runtimes` has it run under Bun and Deno, too. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const program = join(import.meta.dirname, '..', 'fixtures', 'smoke.js');
const root = mkdtempSync(join(tmpdir(), 'varve-smoke-'));
afterAll(() => rmSync(root, { recursive: true }));

describe('the smoke program', () => {
  it.each(['thread', 'inline'])('goes through: %s', (where) => {
    for (const task of [where, 'found']) {
      const args = [program, join(root, where), task];
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(status).toBe(0);
      expect(stdout).toMatch(/ok nothing to warn of\n$/);
    }
  });
});
