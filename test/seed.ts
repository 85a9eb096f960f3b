/**
 * The seed of this run: VARVE_SEED, or one made of the commit, so that each commit tries other cases and a run can be
 * repeated. Tests that draw from it have it in their titles.
 */
import { inject } from 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    readonly seed: number;
  }
}

export const seed: number = inject('seed');

/** VARVE_SWEEP=all: every case of every sweep. */
export const sweepsEverything: boolean = process.env['VARVE_SWEEP'] === 'all';
