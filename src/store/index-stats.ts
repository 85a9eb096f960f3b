import type { DerivedIndex } from '../derived/derived-index.ts';
import type { IndexStats } from './contract.ts';

export function indexStats({ tail, tree, isAnswering, error }: DerivedIndex): IndexStats {
  const covered = tree?.covered ?? 0;
  const stats = tree?.tree.stats();
  const tables = tree?.tree.tableMemory ?? 0;
  const blocks = stats?.cache.size ?? 0;
  const levels = stats?.levels ?? [];
  const { filterChecks = 0, filterMisses = 0, blockReads = 0 } = stats?.reads ?? {};
  const {
    ingests: runs = 0,
    compactions = 0,
    moves = 0,
    bytesWritten = 0,
  } = stats?.background ?? {};
  return {
    isAnswering,
    covered,
    tail: { events: tail.end - tail.covered, bytes: tail.uncoveredSize },
    memory: { bytes: tail.memorySize + tables + blocks, tables, blocks },
    tables: {
      count: levels.reduce((sum, { tableCount }) => sum + tableCount, 0),
      bytes: levels.reduce((sum, { size }) => sum + size, 0),
    },
    work: { runs, merges: compactions + moves, bytesWritten },
    reads: { filterChecks, filterMisses, blockReads },
    failure: (error ?? stats?.background.error)?.message,
  };
}
