import type { CommandGroup } from './command.ts';
import { kvBackupCommand } from './kv-backup.ts';
import { kvCompactCommand } from './kv-compact.ts';
import { kvGetCommand } from './kv-get.ts';
import { kvListCommand } from './kv-list.ts';
import { kvRepairCommand } from './kv-repair.ts';
import { kvStatsCommand } from './kv-stats.ts';
import { kvVerifyCommand } from './kv-verify.ts';

/** `varve kv …`: what an operator needs of a key-value store. Writing is its program's business. */
export const kvGroup: CommandGroup = {
  prefix: 'kv ',
  title: 'look into a key-value store, and mend one',
  summary: 'look into a key-value store, and mend one: varve kv --help',
  commands: [
    kvGetCommand,
    kvListCommand,
    kvStatsCommand,
    kvVerifyCommand,
    kvRepairCommand,
    kvCompactCommand,
    kvBackupCommand,
  ],
  groups: [],
  firstSteps: [
    'varve kv stats ./my-kv',
    'varve kv list ./my-kv --delimiter /',
    'varve kv verify ./my-kv',
  ],
};
