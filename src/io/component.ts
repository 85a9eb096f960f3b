import { VarveError } from '../base/errors.ts';

/**
 * A part named by the module that makes it, for parts that a thread of its own needs: objects can't go there, names can. The
 * module exports `create(options)`; it is called once in each thread.
 */
export interface ComponentModule {
  readonly module: URL;
  /** Given to `create`; anything that can be cloned, shared memory included. */
  readonly options?: unknown;
}

export function isComponentModule(part: object): part is ComponentModule {
  if (!('module' in part)) {
    return false;
  }
  // By its shape: test runners have realms of their own, with another class of that name.
  if (typeof (part.module as { href?: unknown } | null)?.href !== 'string') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'A component is named by the URL of its module, as new URL(…, import.meta.url) gives it.',
    );
  }
  return true;
}

/** A component's module on its way to another thread: a URL does not survive a structured clone. */
export interface SentComponent {
  readonly href: string;
  readonly options: unknown;
}

export function sendComponent({ module, options }: ComponentModule): SentComponent {
  return { href: module.href, options };
}

export function receiveComponent({ href, options }: SentComponent): ComponentModule {
  return { module: new URL(href), options };
}

export async function loadComponent<Part>({ module, options }: ComponentModule): Promise<Part> {
  checkCloneable(module, options);
  const loaded = (await import(module.href)) as { create?: unknown };
  if (typeof loaded.create !== 'function') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The module ${module.href} names a component but exports no function "create".`,
    );
  }
  return (loaded.create as (options: unknown) => Part)(options);
}

/** Whoever names a component hears at once that its options can't go to another thread. */
function checkCloneable(module: URL, options: unknown): void {
  try {
    structuredClone(options);
  } catch (cause) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The options for the module ${module.href} can't be cloned for another thread.`,
      { cause },
    );
  }
}
