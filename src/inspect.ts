/**
 * Pictures of a store's files for people who look into them, damaged or not.
 *
 * @example
 * import { open } from 'varve';
 * import { dumpSegment } from 'varve/inspect';
 *
 * const store = await open('./data');
 * await store.append('orders/42', [{ type: 'OrderPlaced' }]);
 * const [{ path }] = store.segments();
 * await store.close();
 * for (const { kind, offset } of dumpSegment(path)) {
 *   console.log(kind, offset);
 * }
 */
export { dumpSegment, type DumpRow } from './log/dump.ts';
