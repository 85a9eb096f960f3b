import { compactionSettings } from '../kv/compaction/compaction-settings.ts';
import type { TreeSettings } from '../kv/tree/tree.ts';
import { Axis, POSTING_SUFFIX_SIZE, HASH_KEY_SIZE, HASH_PREFIX_SIZE } from './format.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** How memory is divided, and what follows from it. */
export interface IndexSettings {
  /** Bytes for everything together. */
  readonly memorySize: number;
  /** Events of a generation, about. */
  readonly generationCount: number;
  /** Events of a run that is made of what is in no generation. */
  readonly runCount: number;
  readonly readOnly: boolean;
}

/** 32 k events: larger ones buy little and cost their memory in the tail and again in the background (measured). */
const GENERATION_COUNT_MAX = 32_768;
const GENERATION_COUNT_MIN = 8;
/** Memory for each event of a generation: there are to be a dozen of them in half of it. */
const MEMORY_PER_EVENT = 2 * KiB;
/** Bytes of a table for an event, about: only to know how large a run is. */
const EVENT_SIZE = 56;

const TABLE_SIZE_MAX = 8 * MiB;
/** A block cache this small keeps some blocks still. */
export const CACHE_SIZE_MIN: number = 512 * KiB;

export function indexSettings(memorySize: number, readOnly: boolean): IndexSettings {
  const wanted = Math.floor(memorySize / MEMORY_PER_EVENT);
  const generationCount = Math.max(GENERATION_COUNT_MIN, Math.min(GENERATION_COUNT_MAX, wanted));
  return { memorySize, generationCount, runCount: 2 * generationCount, readOnly };
}

/** At most so many tables may hold what is asked for. */
const RUN_COUNT_MAX = 4;

export function treeSettings({
  memorySize,
  generationCount,
  readOnly,
}: IndexSettings): TreeSettings {
  return {
    readOnly,
    blockCacheSize: Math.max(CACHE_SIZE_MIN, memorySize / 4),
    // All of them: a lookup never opens a file.
    openCountMax: Number.MAX_SAFE_INTEGER,
    tables: {
      blockSize: 4 * KiB,
      tableSizeMax: TABLE_SIZE_MAX,
      compression: 'none',
      filter: {
        bitsPerKey: 0,
        axes: [
          { axis: Axis.counts, bitsPerKey: 0, uncovered: 0 },
          { axis: Axis.key, bitsPerKey: 18, uncovered: HASH_KEY_SIZE - HASH_PREFIX_SIZE },
          { axis: Axis.id, bitsPerKey: 18, uncovered: HASH_KEY_SIZE - HASH_PREFIX_SIZE },
          { axis: Axis.head, bitsPerKey: 16, uncovered: 0 },
          { axis: Axis.posting, bitsPerKey: 8, uncovered: POSTING_SUFFIX_SIZE },
        ],
      },
    },
    compaction: compactionSettings({
      policy: {
        kind: 'stretches',
        runCountMax: RUN_COUNT_MAX,
        runSize: generationCount * EVENT_SIZE,
        runLength: generationCount,
      },
      tableSizeMax: TABLE_SIZE_MAX,
    }),
  };
}
