import type { FilterRule } from './filter-rule.ts';

/** How tables are made. */
export interface TableSettings {
  readonly blockSize: number;
  /** A table is closed when it has grown to this size and the key changes. */
  readonly tableSizeMax: number;
  readonly filter: FilterRule;
  readonly compression: 'none' | 'deflate' | 'zstd';
}
