import { VarveError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { type ComponentModule, isComponentModule } from './component.ts';
import type { FileSystem } from './file-system.ts';
import { whyNoThreads } from './runtime.ts';
import { checkWorkers, type WorkerModules } from './worker-modules.ts';

/** Where a store's work is done, as its owner wants it and as it can be. */
export interface ThreadChoice {
  /** Whether there are to be threads at all. */
  readonly usesThreads: boolean;
  /** Hears why a thread could not be started, if the work is to go on in this one then; undefined if it is not. */
  readonly goInline: ((failure: VarveError) => void) | undefined;
  readonly workers: WorkerModules;
  /** How threads get their file system; undefined for the operating system's. */
  readonly namedFileSystem: ComponentModule | undefined;
}

interface Given {
  readonly fileSystem?: FileSystem | ComponentModule | undefined;
  readonly workers?: WorkerModules | undefined;
}

/** Throws `INVALID_ARGUMENT` if what is asked for can't be. */
export function chooseThreads(
  wanted: 'auto' | 'thread' | 'inline',
  { fileSystem, workers = {} }: Given,
  logger: Logger,
): ThreadChoice {
  checkWorkers(workers);
  const namedFileSystem =
    fileSystem !== undefined && isComponentModule(fileSystem) ? fileSystem : undefined;
  const hasObject = fileSystem !== undefined && namedFileSystem === undefined;
  const refusal = hasObject
    ? 'A thread must make the file system itself: name it by its module, { module, options }'
    : whyNoThreads();
  if (wanted === 'thread' && refusal !== undefined) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      hasObject ? `${refusal}.` : `${refusal}: leave the option background to "auto".`,
    );
  }
  return {
    usesThreads: wanted !== 'inline' && refusal === undefined,
    goInline: wanted === 'auto' ? tellOnce(logger) : undefined,
    workers,
    namedFileSystem,
  };
}

/** However many threads a store has: what keeps one from starting keeps the others, too. */
function tellOnce(logger: Logger): (failure: VarveError) => void {
  let hasTold = false;
  return ({ cause, details }) => {
    if (hasTold) {
      return;
    }
    hasTold = true;
    logger({
      level: 'warn',
      event: 'thread-unavailable',
      message:
        'A thread could not be started, so its work is done in the thread that opened the store. Of a bundled program, name the files of threads in the component workers.',
      details: { ...details, cause },
    });
  };
}
