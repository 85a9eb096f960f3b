/** Property tests draw from the seed of the run, which fast-check prints when one fails. */
import { configureGlobal } from 'fast-check';
import { seed, sweepsEverything } from './seed.ts';

configureGlobal({ seed, numRuns: sweepsEverything ? 1_000 : 50 });
