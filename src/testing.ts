/**
 * For tests of programs that use Varve, and of implementations of its contracts: stores over a disk that can fill up, fail, and crash.
 *
 * @example
 * import { FaultPlan, openInMemory, SimulatedFileSystem } from 'varve/testing';
 *
 * const faults = new FaultPlan();
 * const store = await openInMemory({}, { fileSystem: new SimulatedFileSystem({ faults }) });
 * await store.append('orders/42', [{ type: 'OrderPlaced' }]);
 * faults.capacity = 0; // the disk is full from here on
 * const data = new Uint8Array(4 * 1024 * 1024);
 * const refused = await store.append('orders/42', [{ type: 'Scanned', data }]).catch((error) => error);
 * console.log(store.head, refused.code, refused.applied);
 */
export { openInMemory } from './testing/open-in-memory.ts';
export {
  type CrashChoice,
  type Fault,
  type FaultKind,
  FaultPlan,
  type FaultPlanOptions,
  type Operation,
  SimulatedFileSystem,
} from './testing/simulated-file-system.ts';
export { SimulatedClock } from './testing/simulated-clock.ts';
export { fileSystemConformance } from './testing/file-system-conformance.ts';
export {
  type KvConformance,
  kvConformance,
  type KvSupports,
  type KvUnderTest,
} from './testing/kv-conformance.ts';
export { storeClientConformance } from './testing/store-client-conformance.ts';
export { storeConformance } from './testing/store-conformance.ts';
export { SeededRandom } from './base/random.ts';
export { collectGoals } from './base/reached.ts';
