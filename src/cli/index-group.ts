import type { CommandGroup } from './command.ts';
import { indexRebuildCommand } from './index-rebuild.ts';
import { indexStatsCommand } from './index-stats.ts';
import { indexVerifyCommand } from './index-verify.ts';

/** `varve index …`: what is derived from the log. */
export const indexGroup: CommandGroup = {
  prefix: 'index ',
  title: 'look at what is derived from the log, and make it again',
  summary: 'check derived data, make it again: varve index --help',
  commands: [indexStatsCommand, indexVerifyCommand, indexRebuildCommand],
  groups: [],
  firstSteps: ['varve index stats ./my-store', 'varve index verify ./my-store'],
};
