import { execFileSync } from 'node:child_process';
import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** VARVE_SEED, or the first 31 bits of the commit's hash. */
function seedOfRun(): number {
  const given = process.env['VARVE_SEED'];
  if (given !== undefined) {
    return Number(given);
  }
  try {
    const hash = execFileSync('git', ['rev-parse', 'HEAD'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number.parseInt(hash.toString('latin1', 0, 8), 16) >>> 1;
  } catch {
    // No repository, or no git.
    return 1;
  }
}

const provide: { readonly seed: number } = { seed: seedOfRun() };

const config: ViteUserConfig = defineConfig({
  test: {
    // By default one processor is left out, of two as of sixteen.
    maxWorkers: '100%',
    projects: [
      // One module graph for all: unit tests keep no state in modules, and a fresh one for each file takes longer than the tests.
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          setupFiles: ['test/property-tests.setup.ts'],
          pool: 'threads',
          isolate: false,
          testTimeout: 60_000,
          provide,
        },
      },
      {
        test: {
          name: 'engine',
          include: ['test/**/*.test.ts'],
          pool: 'forks',
          testTimeout: 120_000,
          hookTimeout: 60_000,
          provide,
        },
      },
    ],
  },
});

export default config;
