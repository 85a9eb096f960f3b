import { systemCode } from '../base/errors.ts';
import type { Fault, FaultPlan } from './fault-plan.ts';
import { systemError } from './system-error.ts';

export type OperationKind =
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'link'
  | 'remove'
  | 'makeDirectory'
  | 'syncDirectory'
  | 'list'
  | 'stat';

/** One call that reached the simulated disk. */
export interface Operation {
  /** Counted from 1, in the order of issue. */
  readonly index: number;
  readonly kind: OperationKind;
  readonly path: string;
  /** The second path of `rename` and `link`. */
  readonly target?: string;
  /** Bytes from the start of the file, of `read` and `write`. */
  readonly offset?: number;
  /** Bytes asked for by `read` and `write`; the new size of `truncate`. */
  readonly size?: number;
  /** True for `readAsync`, `writeAsync` and `syncAsync`. */
  readonly async: boolean;
  /** Of `syncDirectory`: by a directory that was open already. */
  readonly isOpen?: true;
  /** How it failed: known when it is over. */
  readonly error?: string;
}

export type OperationFacts = Omit<Operation, 'index' | 'async' | 'error'> & {
  readonly async?: boolean;
};

export type OperationHook = (operation: Operation) => void;

/** What an operation does, given the sequence number of its changes and the fault it has to show. */
export type Effect<T> = (sequence: number, fault: Fault | undefined) => T;

interface RunningOperation {
  readonly operation: Operation & { error?: string };
  readonly fault: Fault | undefined;
}

/** Counts operations, tells the observers, and makes the planned ones fail. */
export class OperationRunner {
  onBeforeOperation: OperationHook | undefined;
  onOperation: OperationHook | undefined;
  readonly faults: FaultPlan;
  readonly #counts: Record<OperationKind, number> = {
    open: 0,
    create: 0,
    read: 0,
    write: 0,
    sync: 0,
    truncate: 0,
    rename: 0,
    link: 0,
    remove: 0,
    makeDirectory: 0,
    syncDirectory: 0,
    list: 0,
    stat: 0,
  };
  #issued = 0;

  constructor(faults: FaultPlan) {
    this.faults = faults;
  }

  get issued(): number {
    return this.#issued;
  }

  get counts(): Readonly<Record<OperationKind, number>> {
    return { ...this.#counts };
  }

  run<T>(facts: OperationFacts, effect: Effect<T>): T {
    return this.finish(this.begin(facts), effect);
  }

  /** Counts an operation and decides its fault; nothing has happened yet. */
  begin(facts: OperationFacts): RunningOperation {
    this.#issued += 1;
    this.#counts[facts.kind] += 1;
    const operation = { async: false, ...facts, index: this.#issued };
    this.onBeforeOperation?.(operation);
    const fault = this.faults.faultOf(operation);
    return { operation, fault: fault?.kind === 'EMFILE' && !opens(facts) ? undefined : fault };
  }

  /** Lets it happen. Writes and syncs show their faults themselves, all others fail without an effect. */
  finish<T>({ operation, fault }: RunningOperation, effect: Effect<T>): T {
    try {
      if (failsWhole(operation.kind)) {
        throwIfFailing(operation, fault);
      }
      return effect(operation.index, fault);
    } catch (error) {
      operation.error = systemCode(error) ?? 'unknown';
      throw error;
    } finally {
      this.onOperation?.(operation);
    }
  }
}

/** Throws the system's error if the fault is one. */
export function throwIfFailing(
  operation: Pick<Operation, 'kind' | 'path'>,
  fault: Fault | undefined,
): void {
  if (fault !== undefined && fault.kind !== 'short') {
    throw systemError(fault.kind, operation.kind, operation.path);
  }
}

function opens({ kind, isOpen }: OperationFacts): boolean {
  return ['open', 'create', 'list'].includes(kind) || (kind === 'syncDirectory' && isOpen !== true);
}

function failsWhole(kind: OperationKind): boolean {
  return kind !== 'write' && kind !== 'sync' && kind !== 'syncDirectory';
}
