/** For tests of programs that use Varve, and of implementations of its contracts. */
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
