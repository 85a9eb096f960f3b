/**
 * The key-value store as a database of the Level family. Needs the package abstract-level beside this one.
 *
 * @example
 * import { VarveLevel } from 'varve/level';
 *
 * const db = new VarveLevel('./data', { valueEncoding: 'json' });
 * await db.put('ada', { born: 1815 }, { sync: true });
 * console.log(await db.get('ada'));
 * await db.close();
 */
export {
  VarveLevel,
  type VarveIteratorOptions,
  type VarveLevelOptions,
  type VarveRangeOptions,
  type VarveWriteOptions,
} from './kv/store/varve-level.ts';
