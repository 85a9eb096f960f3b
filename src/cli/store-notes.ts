import type { StoreComponents } from '../index.ts';
import type { Terminal } from './terminal.ts';
import { printable } from './text.ts';

/** Components of a store that a command opens: what its log warns of goes to stderr. */
export function storeComponents(terminal: Terminal): Pick<StoreComponents, 'logger'> {
  return {
    logger: ({ level, message }) => {
      if (level === 'warn' || level === 'error') {
        terminal.note(`${terminal.errorStyle('yellow', 'note:')} ${printable(message)}`);
      }
    },
  };
}
