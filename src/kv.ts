/**
 * An ordered, durable store of byte keys, usable without the event store.
 *
 * @example
 * import { openKv } from 'varve/kv';
 *
 * const kv = await openKv('./data');
 * await kv.put('users/7', 'Ada');
 * for (const [key, value] of kv.iterateSync({ prefix: 'users/' })) {
 *   console.log(Buffer.from(key).toString(), Buffer.from(value).toString());
 * }
 * await kv.close();
 */
export { openKv } from './kv/store/open-kv.ts';
export type { KvComponents, KvOptions } from './kv/store/options.ts';
export {
  type KvFolderRepairReport,
  type KvRepairOptions,
  type KvRepairReport,
  repairKv,
} from './kv/store/kv-repair.ts';
export type * from './kv/store/contract.ts';
export type { WorkerModules } from './io/worker-modules.ts';
export { CorruptionError, VarveError } from './base/errors.ts';
export type { ErrorCode, ErrorKind } from './base/errors.ts';
