/** Verifying streams: its memory does not grow with the store. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const script = fileURLToPath(new URL('../fixtures/verify-memory.js', import.meta.url));
const MB = 1024 * 1024;

function run(...args: readonly string[]): string {
  return execFileSync(process.execPath, [script, ...args], { encoding: 'utf8' });
}

function peakOf(megabytes: number): { readonly bytes: number; readonly peak: number } {
  const directory = mkdtempSync(join(tmpdir(), 'varve-memory-'));
  try {
    run('fill', directory, String(megabytes));
    const { ok, bytes, peak } = JSON.parse(run('audit', directory)) as {
      ok: boolean;
      bytes: number;
      peak: number;
    };
    expect(ok).toBe(true);
    return { bytes, peak };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe('verification', () => {
  it('takes no more memory for a store ten times as large', () => {
    const small = peakOf(24);
    const large = peakOf(240);
    expect(large.bytes).toBeGreaterThan(small.bytes * 9);
    expect(large.peak).toBeLessThan(small.peak + 20 * MB);
  });
});
