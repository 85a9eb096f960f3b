/** Pictures of a store's files for people who look into them, damaged or not. */
export { dumpSegment, type DumpRow } from './log/dump.ts';
