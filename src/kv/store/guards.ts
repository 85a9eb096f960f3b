import { VarveError } from '../../base/errors.ts';
import { successorOfPrefix } from '../../radix/path.ts';
import { makeFound } from '../entries/cursor.ts';
import { EntryIterator } from '../tree/entry-iterator.ts';
import type { PreparedGuard } from './pending-batch.ts';
import type { ReadState } from '../tree/read-state.ts';

/** Why a batch with these guards may not be applied now, or undefined if it may. A version of 0 is that of no entry. */
export function guardRefusal(
  state: ReadState,
  sequence: number,
  guards: readonly PreparedGuard[],
): VarveError | undefined {
  for (const guard of guards) {
    if (guard.kind === 'empty') {
      if (!isEmptyPrefix(state, sequence, guard.prefix)) {
        return refused(guard.prefix, 'There are keys that begin with', {});
      }
      continue;
    }
    const actual = versionOf(state, sequence, guard.key);
    const expected = guard.kind === 'absent' ? 0 : guard.version;
    if (actual !== expected) {
      const what = expected === 0 ? 'There is an entry' : `Not at version ${expected}: the entry`;
      return refused(guard.key, what, { expected, actual });
    }
  }
  return undefined;
}

const found = makeFound();

function versionOf(state: ReadState, sequence: number, key: Uint8Array): number {
  return state.get(key, sequence, found) ? found.sequence : 0;
}

function isEmptyPrefix(state: ReadState, sequence: number, prefix: Uint8Array): boolean {
  const bounds = { start: prefix, end: successorOfPrefix(prefix) };
  const entries = new EntryIterator(state, bounds, {
    sequence,
    isReverse: false,
    fillCache: true,
  });
  try {
    return !entries.next();
  } finally {
    entries.close();
  }
}

function refused(
  key: Uint8Array,
  what: string,
  versions: { readonly expected?: number; readonly actual?: number },
): VarveError {
  const shown = JSON.stringify(Buffer.from(key.subarray(0, 200)).toString('utf8'));
  return new VarveError(
    'CONDITION_FAILED',
    `${what} ${shown}: nothing was changed; read again and retry.`,
    { applied: 'no', details: { key: new Uint8Array(key), ...versions } },
  );
}
