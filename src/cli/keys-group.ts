import type { CommandGroup } from './command.ts';
import { keysFindCommand } from './keys-find.ts';

/** `varve keys …`: what has been done once. */
export const keysGroup: CommandGroup = {
  prefix: 'keys ',
  title: 'look up idempotency keys',
  summary: 'look up idempotency keys: varve keys --help',
  commands: [keysFindCommand],
  groups: [],
  firstSteps: ['varve keys find ./my-store payment-8f1c'],
};
