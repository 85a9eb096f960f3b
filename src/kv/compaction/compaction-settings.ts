import { assert } from '../../base/assert.ts';
import { LEVEL_COUNT } from '../manifest/levels.ts';

const MiB = 1024 * 1024;

/** Level 0, one below for each run, and one that is free above them. */
const RUN_COUNT_MAX = LEVEL_COUNT - 2;

/** Where new tables go, and which are merged. Plain data. */
export type MergePolicy =
  /** Runs go as deep as they meet nothing; levels have sizes, and what is too much in one goes down in pieces. For keys in any order. */
  | { readonly kind: 'levels' }
  /**
   * Runs enter at the top, and only runs that came one after the other are merged, whole: so each table covers one stretch of time, and a
   * key is in `runCountMax` tables at most. `runSize`: bytes of a run, about. `runLength`: positions of a run; where tables say how long their
   * stretches are, that tells better how many runs are in them, for merged runs may be smaller than the sum of them.
   */
  | {
      readonly kind: 'stretches';
      readonly runCountMax: number;
      readonly runSize: number;
      readonly runLength?: number;
    };

/** What decides when tables are merged. docs/decisions/0009-manifest-and-compaction.md says where the defaults come from. */
export interface CompactionSettings {
  readonly policy: MergePolicy;
  /** Tables that one key may be in before level 0 is merged into level 1. */
  readonly levelZeroTables: number;
  /** From this many on writers are slowed down. */
  readonly levelZeroSlow: number;
  /** From this many on writers wait. */
  readonly levelZeroStop: number;
  /** What a flush writes, about. */
  readonly memtableSize: number;
  /** Size at which a table is closed. */
  readonly tableSizeMax: number;
  /** Size of level 1. */
  readonly levelBaseSize: number;
  /** How many times larger each further level is. */
  readonly levelMultiplier: number;
  /** Bytes that wait to be rewritten: from so many on writers are slowed down, … */
  readonly debtSlow: number;
  /** … and wait. */
  readonly debtStop: number;
}

/** Settings for given sizes; what isn't given follows from what is. */
export function compactionSettings(given: Partial<CompactionSettings> = {}): CompactionSettings {
  const levelZeroTables = given.levelZeroTables ?? 4;
  const memtableSize = given.memtableSize ?? 32 * MiB;
  const levelBaseSize = given.levelBaseSize ?? 2 * levelZeroTables * memtableSize;
  const settings: CompactionSettings = {
    policy: { kind: 'levels' },
    levelZeroSlow: levelZeroTables + 4,
    levelZeroStop: levelZeroTables + 16,
    tableSizeMax: 8 * MiB,
    levelMultiplier: 10,
    // What one merge of level 0 leaves to do further down is a small multiple of level 1, at any size of the store.
    debtSlow: 64 * levelBaseSize,
    debtStop: 256 * levelBaseSize,
    ...given,
    levelZeroTables,
    memtableSize,
    levelBaseSize,
  };
  const { policy } = settings;
  assert(
    policy.kind === 'levels' || (policy.runCountMax >= 1 && policy.runCountMax <= RUN_COUNT_MAX),
    'each run has a level',
  );
  assert(settings.levelZeroTables >= 1, 'level 0 is merged when there is something in it');
  assert(
    settings.levelZeroTables <= settings.levelZeroSlow,
    'merging begins before writers suffer',
  );
  assert(settings.levelZeroSlow <= settings.levelZeroStop, 'writers are slowed before they wait');
  assert(settings.levelMultiplier > 1, 'levels grow');
  assert(settings.tableSizeMax > 0, 'a table has a size');
  return settings;
}

/** The size that a level is kept at. Level 0 has what its tables make of it; the last level has no bound. */
export function targetSize(level: number, settings: CompactionSettings): number {
  return level === 0
    ? settings.levelZeroTables * settings.memtableSize
    : settings.levelBaseSize * settings.levelMultiplier ** (level - 1);
}
