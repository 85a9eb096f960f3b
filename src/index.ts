/**
 * An embedded event store: appended means on disk, once means once, in one order, and nothing is changed in silence.
 *
 * @example
 * import { open } from 'varve';
 *
 * const store = await open('./data');
 * await store.append('orders/42', [{ type: 'OrderPlaced', data: { total: 42 } }]);
 * for await (const { stream, revision, type, data } of store.read()) {
 *   console.log(stream, revision, type, data.total);
 * }
 * await store.close();
 */
export { open } from './store/open-store.ts';
export { attach } from './store/attach.ts';
export type { AttachComponents, AttachOptions } from './store/attach-options.ts';
export { audit } from './store/audit-folder.ts';
export { restore } from './store/restore.ts';
export type { RestoreOptions, RestoreProgress, RestoreResult } from './store/restore.ts';
export { rebuildIndex } from './store/rebuild-index.ts';
export type { RebuildOptions, RebuildProgress } from './store/rebuild-index.ts';
export type { OpenProgress, StoreComponents, StoreOptions } from './store/options.ts';
export type * from './store/contract.ts';
export type { WorkerModules } from './io/worker-modules.ts';
export type { Codec } from './log/codecs.ts';
export type { AuditReport, Finding } from './log/audit.ts';
export type { JournalRecovery, Quarantined } from './journal/recovery.ts';
export type { LogEntry, Logger } from './base/logger.ts';
export {
  type Applied,
  CorruptionError,
  type ErrorCode,
  type ErrorKind,
  RevisionConflictError,
  VarveError,
} from './base/errors.ts';
